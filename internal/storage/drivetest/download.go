package drivetest

import (
	"io"
	"net/http"
	"strconv"
	"strings"
)

func getKind(r *http.Request) string {
	if r.URL.Query().Get("alt") == "media" {
		return Download
	}
	return Get
}

// get is files.get: what is known about a file, or its content.
func (c *call) get() error {
	sel, err := c.fields(fileResource{}, fileDefaults)
	if err != nil {
		return err
	}
	c.s.mu.Lock()
	n, err := c.node(c.r.PathValue("id"))
	if err == nil && c.s.isRoot(n) && c.by.onlyOwn() {
		err = notFound(n.id)
	}
	if err != nil || c.q.Get("alt") != "media" {
		defer c.s.mu.Unlock()
		if err != nil {
			return err
		}
		return c.answer(c.file(n), sel)
	}
	body, with, err := open(n)
	mime := n.mime
	c.s.mu.Unlock()
	if err != nil {
		return err
	}
	defer body.Close()
	return c.send(body, with.size, mime)
}

// open opens a content while the lock is held, so that no update removes it before.
func open(n *node) (io.ReadSeekCloser, *content, error) {
	if n.content == nil {
		return nil, nil, errNoContent
	}
	body, err := n.content.open()
	return body, n.content, err
}

// send answers with a content, or with the one range of it that is asked for.
func (c *call) send(body io.ReadSeeker, size int64, mime string) error {
	from, to, partly, err := byteRange(c.r.Header.Get("Range"), size)
	if err != nil {
		c.w.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
		return err
	}
	if _, err := body.Seek(from, io.SeekStart); err != nil {
		return err
	}
	h, code := c.w.Header(), http.StatusOK
	h.Set("Content-Type", mime)
	h.Set("Content-Length", strconv.FormatInt(to-from, 10))
	if partly {
		code = http.StatusPartialContent
		h.Set("Content-Range", "bytes "+strconv.FormatInt(from, 10)+"-"+strconv.FormatInt(to-1, 10)+"/"+strconv.FormatInt(size, 10))
	}
	c.w.WriteHeader(code)
	_, err = io.CopyN(c.w, body, to-from)
	return err
}

// byteRange reads the header Range: what is not understood asks for everything.
func byteRange(header string, size int64) (from, to int64, partly bool, err error) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, both := strings.Cut(spec, "-")
	if !ok || !both || strings.Contains(spec, ",") {
		return 0, size, false, nil
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil || n < 0 {
			return 0, size, false, nil
		}
		if n == 0 || size == 0 {
			return 0, 0, false, errRange
		}
		return max(size-n, 0), size, true, nil
	}
	from, err = strconv.ParseInt(first, 10, 64)
	if err != nil || from < 0 {
		return 0, size, false, nil
	}
	to = size
	if last != "" {
		end, err := strconv.ParseInt(last, 10, 64)
		if err != nil || end < from {
			return 0, size, false, nil
		}
		to = min(end+1, size)
	}
	if from >= size {
		return 0, 0, false, errRange
	}
	return from, to, true, nil
}
