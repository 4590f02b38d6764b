package drivetest

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
)

// errBroken means that the client broke off its request, which gets no answer.
var errBroken = errors.New("the request broke off")

func uploadKind(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case q.Get("upload_id") != "":
		return UploadChunk
	case q.Get("uploadType") == "resumable":
		return UploadStart
	case r.Method == http.MethodPatch:
		return Update
	}
	return Create
}

// An uploader is a call that brings content.
type uploader struct{ *call }

// upload is files.create and files.update with content.
func (c *call) upload() error { return (&uploader{c}).dispatch() }

func (c *uploader) dispatch() error {
	switch kind := c.q.Get("uploadType"); {
	case c.q.Get("upload_id") != "":
		return c.chunk()
	case c.r.Method == http.MethodPut, c.r.Method == http.MethodPost && c.r.PathValue("id") != "":
		return invalid("upload_id")
	case kind == "resumable":
		return c.begin()
	case kind == "multipart":
		return c.multipart()
	case kind == "media":
		return c.store(metadata{}, c.r.Header.Get("Content-Type"), c.r.Body)
	}
	return &Refusal{Code: 400, Reason: "badRequest", Message: "Invalid upload request"}
}

// multipart is an upload in one request: what is said of the file, then its content.
func (c *uploader) multipart() error {
	kind, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/related" || params["boundary"] == "" {
		return &Refusal{Code: 400, Reason: "badContent", Message: "Multipart content type must be multipart/related with a boundary"}
	}
	parts := multipart.NewReader(c.r.Body, params["boundary"])
	about, err := parts.NextPart()
	if err != nil {
		return malformed(err)
	}
	m, err := readMetadata(about)
	if err != nil {
		return err
	}
	media, err := parts.NextPart()
	if err != nil {
		return malformed(err)
	}
	return c.store(m, media.Header.Get("Content-Type"), media)
}

func malformed(err error) error {
	if errors.Is(err, io.EOF) {
		return &Refusal{Code: 400, Reason: "badRequest", Message: "Malformed multipart body."}
	}
	return errBroken
}

// store takes a content and puts it where the request says.
func (c *uploader) store(m metadata, mediaType string, body io.Reader) error {
	sel, err := c.fields(fileResource{}, fileDefaults)
	if err != nil {
		return err
	}
	s, err := newSpool(c.s.options.Dir)
	if err != nil {
		return err
	}
	_, err = io.Copy(s, body)
	if err == nil {
		// a client that fails closes the last part before it breaks the request off
		_, err = io.Copy(io.Discard, c.r.Body)
	}
	if err != nil {
		s.discard()
		return errBroken
	}
	if m.MimeType == "" {
		m.MimeType = mediaType
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	n, err := c.keep(c.r.PathValue("id"), m, s)
	if err != nil {
		return err
	}
	return c.answer(c.file(n), sel)
}

// keep makes a file of what was spooled, or gives it to the file of that id. The caller
// holds the lock.
func (c *uploader) keep(id string, m metadata, s *spool) (n *node, err error) {
	with, err := s.finish()
	if err != nil {
		return nil, err
	}
	if id == "" {
		n, err = c.make(m, with)
	} else {
		n, err = c.change(id, m, with)
	}
	if err != nil {
		with.drop()
	}
	return n, err
}

// begin starts a resumable upload: its answer has the address that the chunks go to.
func (c *uploader) begin() error {
	m, sel, err := c.metadata()
	if err != nil {
		return err
	}
	if m.MimeType == "" {
		m.MimeType = c.r.Header.Get("X-Upload-Content-Type")
	}
	total := int64(-1)
	if declared := c.r.Header.Get("X-Upload-Content-Length"); declared != "" {
		if total, err = strconv.ParseInt(declared, 10, 64); err != nil || total < 0 {
			return &Refusal{Code: 400, Reason: "badRequest", Message: "Invalid X-Upload-Content-Length"}
		}
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	id := c.r.PathValue("id")
	if err := c.mayUpload(id, m, total); err != nil {
		return err
	}
	s, err := newSpool(c.s.options.Dir)
	if err != nil {
		return err
	}
	u := &upload{id: "AB" + c.s.text(40), file: id, about: m, fields: sel, total: total, spool: s, began: c.s.now(), query: c.q, by: c.by}
	c.s.uploads[u.id] = u
	h := c.w.Header()
	h.Set("X-GUploader-UploadID", u.id)
	h.Set("Location", fmt.Sprintf("https://%s%s?uploadType=resumable&upload_id=%s", apiHost, c.r.URL.Path, u.id))
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// mayUpload refuses an upload that could not end well.
func (c *uploader) mayUpload(id string, m metadata, total int64) error {
	n := &node{}
	if id == "" {
		parent, err := c.parentOf(m)
		if err != nil {
			return err
		}
		if n.drive = parent.drive; n.drive == "" {
			n.owner = c.by.account
		}
	} else {
		var err error
		if n, err = c.changeable(id, m); err != nil {
			return err
		}
	}
	return c.space(n, max(total, 0))
}
