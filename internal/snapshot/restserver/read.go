package restserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"

	"salvor/internal/blob"
)

const mediaTypeV2 = "application/vnd.x.restic.rest.v2"

func (s *Server) head(w http.ResponseWriter, r *http.Request, f file) {
	size, err := s.size(r.Context(), f)
	switch {
	case errors.Is(err, blob.ErrNotExist):
		w.WriteHeader(http.StatusNotFound)
	case err != nil:
		s.answer(w, f, err)
	default:
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	}
}

func (s *Server) size(ctx context.Context, f file) (int64, error) {
	if h, ok := s.spooled(f); ok {
		return h.size, nil
	}
	o, err := s.opts.Store.Stat(ctx, f.path())
	return o.Size, err
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, f file) {
	offset, length, err := parseRange(r.Header.Get("Range"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestedRangeNotSatisfiable)
		return
	}
	content, err := s.open(r.Context(), f, offset, length)
	if err != nil {
		s.answer(w, f, err)
		return
	}
	defer content.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	if length >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", offset, offset+length-1))
		w.WriteHeader(http.StatusPartialContent)
	}
	if _, err := io.Copy(w, content); err != nil && r.Context().Err() == nil {
		s.failed(f, fmt.Errorf("read %s: %w", f, err))
		panic(http.ErrAbortHandler) // the only way to tell a client that a body is interrupted
	}
}

func (s *Server) open(ctx context.Context, f file, offset, length int64) (io.ReadCloser, error) {
	h, ok := s.spooled(f)
	if !ok {
		return s.opts.Store.Get(ctx, f.path(), offset, length)
	}
	content, err := os.Open(h.path)
	if err != nil {
		return nil, err
	}
	if length < 0 {
		length = h.size - offset
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(content, offset, length), content}, nil
}

// parseRange reads the two forms that restic sends, "bytes=1-2" and "bytes=1-";
// without a header everything is asked for. Length -1 means: to the end.
func parseRange(header string) (offset, length int64, err error) {
	if header == "" {
		return 0, -1, nil
	}
	from, to, ok := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
	offset, err = strconv.ParseInt(from, 10, 64)
	if err != nil || !ok || offset < 0 || !strings.HasPrefix(header, "bytes=") {
		return 0, 0, fmt.Errorf("unknown range %q", header)
	}
	if to == "" {
		return offset, -1, nil
	}
	end, err := strconv.ParseInt(to, 10, 64)
	if err != nil || end < offset {
		return 0, 0, fmt.Errorf("unknown range %q", header)
	}
	return offset, end - offset + 1, nil
}

type entry struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, kind string) {
	if kind == kindLocks {
		if err := s.ready(r.Context()); err != nil {
			s.answer(w, file{kind: kind}, err)
			s.abort(err)
			return
		}
	}
	names, err := s.listing(r.Context(), kind)
	if err != nil {
		s.answer(w, file{kind: kind}, err)
		return
	}
	var body any
	if r.Header.Get("Accept") == mediaTypeV2 {
		w.Header().Set("Content-Type", mediaTypeV2)
		entries := make([]entry, 0, len(names))
		for name, size := range names {
			entries = append(entries, entry{name, size})
		}
		body = entries
	} else {
		w.Header().Set("Content-Type", "application/vnd.x.restic.rest.v1")
		entries := make([]string, 0, len(names))
		for name := range names {
			entries = append(entries, name)
		}
		body = entries
	}
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// ready calls the pass's hook when restic asks for the locks a second time,
// which is after it has created its own and waited for others to show up. What
// follows is the index and the files.
func (s *Server) ready(ctx context.Context) error {
	s.mu.Lock()
	hook := s.pass.Ready
	if !s.locked {
		hook = nil
	}
	if hook != nil {
		s.pass.Ready = nil
	}
	s.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(ctx)
}

// listing returns names and sizes of a kind, what waits in the spool included. Kinds
// are listed on the remote once: only the holder of the claim adds objects. Locks are
// listed afresh, save in a pass that pauses a stack.
func (s *Server) listing(ctx context.Context, kind string) (map[string]int64, error) {
	s.mu.Lock()
	known := s.listings[kind]
	fresh := known == nil || kind == kindLocks && (!s.pass.Spool || !s.locked)
	s.mu.Unlock()
	if fresh {
		objects, err := s.opts.Store.List(ctx, kind)
		if err != nil {
			return nil, err
		}
		known = make(map[string]int64, len(objects))
		for _, o := range objects {
			if name := path.Base(o.Path); namePattern.MatchString(name) {
				known[name] = o.Size
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listings[kind] = known
	names := make(map[string]int64, len(known))
	for name, size := range known {
		names[name] = size
	}
	for f, h := range s.held {
		if f.kind == kind {
			names[f.name] = h.size
		}
	}
	return names, nil
}
