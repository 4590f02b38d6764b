package drivetest

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// A Fault is what becomes of a request that would have gone to next.
type Fault func(next http.Handler) http.Handler

// A Rule says which calls a fault strikes.
type Rule struct {
	Kind   string  // of the calls, "" for each
	Skip   int     // so many that fit pass first
	Every  int     // strikes only each so-manieth of the rest; 0: each
	Count  int     // how often it strikes, 0 for always
	Chance float64 // strikes so many of the calls, by the server's seed; 0 for each
	Fault  Fault
}

// A Struck is a rule in force.
type Struck struct {
	rule Rule
	s    *Server
	seen int
	hits int
}

// Fail puts a rule into force. Where several fit a call, the first strikes.
func (s *Server) Fail(r Rule) *Struck {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &Struck{rule: r, s: s}
	s.faults = append(s.faults, a)
	return a
}

// Mend ends all rules.
func (s *Server) Mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Times returns how often the rule has struck.
func (a *Struck) Times() int {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return a.hits
}

// arrives counts a call and returns the fault that strikes it, if one does.
func (s *Server) arrives(kind string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[kind]++
	s.calls = append(s.calls, kind)
	for _, a := range s.faults {
		if a.strikes(kind) {
			return a.rule.Fault
		}
	}
	return nil
}

func (a *Struck) strikes(kind string) bool {
	if a.rule.Kind != "" && a.rule.Kind != kind || a.rule.Count > 0 && a.hits >= a.rule.Count {
		return false
	}
	if a.seen++; a.seen <= a.rule.Skip || (a.seen-a.rule.Skip-1)%max(a.rule.Every, 1) != 0 {
		return false
	}
	if a.rule.Chance > 0 && a.s.random.Float64() >= a.rule.Chance {
		return false
	}
	a.hits++
	return true
}

// Refuse answers with a refusal and does nothing.
func Refuse(r *Refusal) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body) // a client that left needs no answer
			r.write(w)
		})
	}
}

// RefuseLate does what is asked, and then answers with a refusal.
func RefuseLate(r *Refusal) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			next.ServeHTTP(&deaf{header: http.Header{}}, req)
			r.write(w)
		})
	}
}

// CutRequest breaks the connection after half of what is sent, or at once where nothing
// is.
func CutRequest() Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			if req.ContentLength > 1 {
				req.Body = io.NopCloser(&cutReader{io.LimitReader(req.Body, req.ContentLength/2)})
				quietly(func() { next.ServeHTTP(&deaf{header: http.Header{}}, req) })
			}
			panic(http.ErrAbortHandler)
		})
	}
}

// CutAnswer does what is asked, and breaks the connection before the answer, or after
// half of a content.
func CutAnswer() Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if getKind(req) == Download {
				next.ServeHTTP(&half{ResponseWriter: w}, req)
			} else {
				next.ServeHTTP(&deaf{header: http.Header{}}, req)
			}
			panic(http.ErrAbortHandler)
		})
	}
}

// Then does what is asked and then something else, before the answer is sent.
func Then(do func()) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			next.ServeHTTP(w, req)
			do()
		})
	}
}

// Slow makes each piece of a request and of a content wait.
func Slow(pause time.Duration) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			req.Body = io.NopCloser(&slowReader{req.Body, req, pause})
			next.ServeHTTP(&slowWriter{w, req, pause}, req)
		})
	}
}

func quietly(do func()) {
	defer func() { _ = recover() }() // the handler breaks off, as it should
	do()
}

type cutReader struct{ io.Reader }

// Read implements io.Reader.
func (r *cutReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// deaf is an http.ResponseWriter whose answer is lost.
type deaf struct{ header http.Header }

func (d *deaf) Header() http.Header         { return d.header }
func (d *deaf) WriteHeader(int)             {}
func (d *deaf) Write(p []byte) (int, error) { return len(p), nil }

// half passes on half of what its header promises.
type half struct {
	http.ResponseWriter
	left int64
}

// WriteHeader implements http.ResponseWriter.
func (h *half) WriteHeader(code int) {
	length, _ := strconv.ParseInt(h.Header().Get("Content-Length"), 10, 64)
	h.left = length / 2
	h.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (h *half) Write(p []byte) (int, error) {
	n, err := h.ResponseWriter.Write(p[:min(int64(len(p)), h.left)])
	h.left -= int64(n)
	if err == nil && n < len(p) {
		if f, ok := h.ResponseWriter.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	return n, err
}

const piece = 64 << 10

type slowReader struct {
	io.Reader
	req   *http.Request
	pause time.Duration
}

// Read implements io.Reader.
func (r *slowReader) Read(p []byte) (int, error) {
	rest(r.req, r.pause)
	return r.Reader.Read(p[:min(len(p), piece)])
}

type slowWriter struct {
	http.ResponseWriter
	req   *http.Request
	pause time.Duration
}

// Write implements http.ResponseWriter.
func (w *slowWriter) Write(p []byte) (written int, err error) {
	for len(p) > 0 && err == nil {
		rest(w.req, w.pause)
		var n int
		n, err = w.ResponseWriter.Write(p[:min(len(p), piece)])
		written, p = written+n, p[n:]
	}
	return written, err
}

func rest(req *http.Request, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-req.Context().Done():
	}
}
