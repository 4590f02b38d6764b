package drivetest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	chunkUnit  = 256 << 10
	uploadLife = 7 * 24 * time.Hour
)

// An upload is one that comes in chunks. What it got so far is a multiple of 256 KiB
// until it ends.
type upload struct {
	id     string
	file   string // that is updated, "" for a new one
	about  metadata
	fields selection
	began  time.Time
	query  url.Values // of the request that began it
	by     *session

	mu    sync.Mutex // guards what follows: one chunk at a time
	total int64      // -1: not known yet
	spool *spool
	done  *fileResource // once it has ended
}

// A contentRange is the header of a chunk.
type contentRange struct {
	from, to int64 // to is the byte behind the last; both are 0 for a question
	total    int64 // -1: not known
	asks     bool  // how much has arrived
}

var errContentRange = &Refusal{Code: 400, Reason: "badRequest", Message: "Failed to parse Content-Range header."}

func parseContentRange(header string, length int64) (contentRange, error) {
	spec, ok := strings.CutPrefix(header, "bytes ")
	span, total, both := strings.Cut(spec, "/")
	r := contentRange{total: -1}
	if !ok || !both {
		return r, errContentRange
	}
	var err error
	if total != "*" {
		if r.total, err = strconv.ParseInt(total, 10, 64); err != nil || r.total < 0 {
			return r, errContentRange
		}
	}
	if span == "*" {
		r.asks = true
		return r, nil
	}
	from, to, both := strings.Cut(span, "-")
	if !both {
		return r, errContentRange
	}
	r.from, err = strconv.ParseInt(from, 10, 64)
	if err != nil || r.from < 0 {
		return r, errContentRange
	}
	r.to, err = strconv.ParseInt(to, 10, 64)
	r.to++
	if err != nil || r.to <= r.from || r.total >= 0 && r.to > r.total || length >= 0 && length != r.to-r.from {
		return r, errContentRange
	}
	return r, nil
}

// chunk takes a part of a resumable upload, or says how much of it has arrived.
func (c *uploader) chunk() error {
	u, err := c.running()
	if err != nil {
		return err
	}
	r := contentRange{asks: false, total: max(c.r.ContentLength, -1), to: max(c.r.ContentLength, 0)}
	if header := c.r.Header.Get("Content-Range"); header != "" {
		if r, err = parseContentRange(header, c.r.ContentLength); err != nil {
			return err
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.done != nil {
		return c.answer(*u.done, u.fields)
	}
	if r.total >= 0 {
		if u.total >= 0 && u.total != r.total {
			return &Refusal{Code: 400, Reason: "badRequest", Message: fmt.Sprintf("Invalid request. The size of the upload is %d and not %d.", u.total, r.total)}
		}
		u.total = r.total
	}
	if !r.asks {
		if err := u.take(r, c.r.Body); err != nil {
			return err
		}
	}
	if u.total < 0 || u.spool.size < u.total {
		u.incomplete(c.w)
		return nil
	}
	return c.end(u)
}

// running returns the upload that the request is about.
func (c *uploader) running() (*upload, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	u := c.s.uploads[c.q.Get("upload_id")]
	if u != nil && c.s.now().Sub(u.began) >= uploadLife {
		u.spool.discard()
		delete(c.s.uploads, u.id)
		u = nil
	}
	if u == nil {
		return nil, &Refusal{Code: 404, Reason: "notFound", Message: "Upload session not found"}
	}
	return u, nil
}

// take appends a chunk. What has arrived before is skipped; of a chunk that is not the
// last only whole units are kept, also when it breaks off.
func (u *upload) take(r contentRange, body io.Reader) error {
	have, last := u.spool.size, r.total >= 0 && r.to == r.total
	switch {
	case r.from > have:
		return &Refusal{Code: 400, Reason: "badRequest", Message: fmt.Sprintf(
			"Invalid request.  According to the Content-Range header, the upload offset is %d byte(s), which exceeds already uploaded size of %d byte(s).", r.from, have)}
	case !last && r.to-r.from < chunkUnit:
		return &Refusal{Code: 400, Reason: "badRequest", Message: fmt.Sprintf(
			"Invalid request.  The number of bytes uploaded is required to be equal or greater than %d, except for the final request (it's recommended to be the exact multiple of %d).  The received request contained %d bytes, which does not meet this requirement.",
			chunkUnit, chunkUnit, r.to-r.from)}
	}
	if _, err := io.CopyN(io.Discard, body, min(have, r.to)-r.from); err != nil {
		return errBroken
	}
	unit := make([]byte, chunkUnit)
	for at := have; at < r.to; {
		n, err := io.ReadFull(body, unit[:min(chunkUnit, r.to-at)])
		switch {
		case err != nil:
			return errBroken
		case n < chunkUnit && !last:
			return nil
		}
		if _, err := u.spool.Write(unit[:n]); err != nil {
			return err
		}
		at += int64(n)
	}
	// the request ends with the chunk, or broke off
	if _, err := body.Read(unit[:1]); err != nil && !errors.Is(err, io.EOF) {
		return errBroken
	}
	return nil
}

// incomplete says how much has arrived.
func (u *upload) incomplete(w http.ResponseWriter) {
	w.Header().Set("X-GUploader-UploadID", u.id)
	if u.spool.size > 0 {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", u.spool.size-1))
	}
	w.WriteHeader(http.StatusPermanentRedirect)
}

// end makes the file of an upload that has all its bytes.
func (c *uploader) end(u *upload) error {
	began := &uploader{&call{s: c.s, w: c.w, r: c.r, q: u.query, by: u.by}}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	n, err := began.keep(u.file, u.about, u.spool)
	if err != nil {
		delete(c.s.uploads, u.id)
		return err
	}
	file := began.file(n)
	u.done = &file
	return c.answer(file, u.fields)
}
