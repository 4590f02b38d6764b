package faultproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// A Fault is what becomes of a request that would have gone to next. Lifted is
// closed when the rule ends.
type Fault func(next http.Handler, lifted <-chan struct{}) http.Handler

// Status answers with a code and does nothing.
func Status(code int) Fault {
	return func(http.Handler, <-chan struct{}) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, http.StatusText(code), code) })
	}
}

// Drop takes the whole request, answers with a code, which should be one of
// success, and does nothing.
func Drop(code int) Fault {
	return func(http.Handler, <-chan struct{}) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(code)
		})
	}
}

// Hang sends nothing until the rule is lifted or the client gives up.
func Hang() Fault {
	return func(next http.Handler, lifted <-chan struct{}) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-lifted:
				next.ServeHTTP(w, r)
			case <-r.Context().Done():
				panic(http.ErrAbortHandler)
			}
		})
	}
}

// Delay waits so long, or until the rule is lifted, before the request continues.
func Delay(d time.Duration) Fault {
	return func(next http.Handler, lifted <-chan struct{}) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), d)
			defer cancel()
			select {
			case <-lifted:
			case <-ctx.Done():
			}
			next.ServeHTTP(w, r)
		})
	}
}

// Cut breaks the connection midway: in the upload where there is one, else in
// the answer.
func Cut() Fault {
	return func(next http.Handler, _ <-chan struct{}) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > 0 {
				r.Body = io.NopCloser(&broken{io.LimitReader(r.Body, r.ContentLength/2)})
				next.ServeHTTP(w, r)
				panic(http.ErrAbortHandler)
			}
			a := take(next, r)
			a.header.Set("Content-Length", strconv.Itoa(len(a.body)))
			a.body = a.body[:len(a.body)/2]
			a.give(w)
			if err := http.NewResponseController(w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return // the client has left already
			}
			panic(http.ErrAbortHandler)
		})
	}
}

// broken ends with an error where its reader ends.
type broken struct{ from io.Reader }

// Read implements io.Reader.
func (b *broken) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Truncate keeps the first half of the upload where there is one, else of the
// answer, and looks complete.
func Truncate() Fault { return changed(func(body []byte) []byte { return body[:len(body)/2] }) }

// Flip changes one bit in the middle of the upload where there is one, else of
// the answer.
func Flip() Fault {
	return changed(func(body []byte) []byte {
		if len(body) > 0 {
			body[len(body)/2] ^= 1
		}
		return body
	})
}

func changed(change func([]byte) []byte) Fault {
	return func(next http.Handler, _ <-chan struct{}) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength == 0 {
				a := take(next, r)
				a.body = change(a.body)
				a.give(w)
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			body = change(body)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			next.ServeHTTP(w, r)
		})
	}
}

// An answer is one that was kept to be changed; it is an http.ResponseWriter.
type answer struct {
	header http.Header
	code   int
	body   []byte
}

// take returns what next answers.
func take(next http.Handler, r *http.Request) *answer {
	a := &answer{header: http.Header{}, code: http.StatusOK}
	next.ServeHTTP(a, r)
	a.header.Del("Content-Length")
	return a
}

// give answers with what there is.
func (a *answer) give(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.code)
	_, _ = w.Write(a.body) // a client that left needs nothing
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) { a.code = code }

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.body = append(a.body, p...)
	return len(p), nil
}
