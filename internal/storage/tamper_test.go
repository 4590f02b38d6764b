package storage_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"salvor/internal/blob"
	"salvor/internal/storage"
)

// tampered is a WebDAV server whose uploads go through change first.
func tampered(t *testing.T, change func([]byte) []byte) string {
	t.Helper()
	return proxied(t, func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			body = change(body)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
		next.ServeHTTP(w, r)
	})
}

func proxied(t *testing.T, handle func(next http.Handler, w http.ResponseWriter, r *http.Request)) string {
	t.Helper()
	target, err := url.Parse(webdavServer(t))
	if err != nil {
		t.Fatal(err)
	}
	next := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		if to := p.Out.Header.Get("Destination"); to != "" { // of a MOVE
			moved, err := url.Parse(to)
			if err != nil {
				t.Error(err)
				return
			}
			moved.Host = target.Host
			p.Out.Header.Set("Destination", moved.String())
		}
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(next, w, r) }))
	t.Cleanup(server.Close)
	return server.URL
}

func TestPutNoticesWhatTheServerChanged(t *testing.T) {
	t.Parallel()
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	for name, change := range map[string]func([]byte) []byte{
		"one bit flipped": flip,
		"cut":             func(b []byte) []byte { return b[:len(b)/2] },
		"emptied":         func([]byte) []byte { return nil },
		"longer":          func(b []byte) []byte { return append(b, 'x') },
	} {
		t.Run(name, func(t *testing.T) {
			var honest atomic.Bool
			address := tampered(t, func(b []byte) []byte {
				if honest.Load() {
					return b
				}
				return change(b)
			})
			f := open(t, storage.Remotes{"dav": webdavRemote(address)}, "dav", "snapshots")
			content := strings.Repeat("content ", 1000)
			honest.Store(true)
			if proof, err := f.Put(t.Context(), "kept", strings.NewReader("old"), 3); err != nil || proof.By != "read back" {
				t.Fatalf("an honest server: %+v, %v", proof, err)
			}
			honest.Store(false)
			for _, path := range []string{"kept", "new"} {
				if proof, err := f.Put(t.Context(), path, strings.NewReader(content), int64(len(content))); !errors.Is(err, storage.ErrCorrupt) {
					t.Errorf("Put is %+v, %v; want ErrCorrupt", proof, err)
				}
			}
			objects, err := f.List(t.Context(), "")
			if want := (blob.Object{Path: "kept", Size: 3}); err != nil || len(objects) != 1 || objects[0] != want {
				t.Errorf("the store holds %v, %v; want the old object alone", objects, err)
			}
		})
	}
}

func TestPassingFaultsAreTriedAgain(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	failed := map[string]bool{}
	address := proxied(t, func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		first := !failed[r.Method]
		failed[r.Method] = true
		mu.Unlock()
		if first {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
	f := open(t, storage.Remotes{"dav": webdavRemote(address)}, "dav", "x")
	if _, err := f.Put(t.Context(), "a/b", strings.NewReader("content"), 7); err != nil {
		t.Error(err)
	}
	for _, method := range []string{"PUT", "PROPFIND", "MOVE", "GET"} {
		if !failed[method] {
			t.Errorf("no %s was made: the test proves nothing about it", method)
		}
	}
}
