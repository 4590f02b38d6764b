// Command aptcache serves the lab's hosts with packages: as a forward proxy that
// keeps what can never change (packages, indices named by their hash) in /cache,
// and as a file server for the lab's own repository, /lab, under /lab/.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
)

func main() {
	p := &proxy{dir: "/cache", files: http.FileServer(http.Dir("/"))}
	server := &http.Server{Addr: ":3142", Handler: p, ReadHeaderTimeout: 10 * time.Second}
	if err := server.ListenAndServe(); err != nil {
		log.Fatal(err)
	}
}

type proxy struct {
	dir    string
	files  http.Handler
	flight singleflight.Group
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodConnect:
		tunnel(w, r)
	case r.URL.Host == "" && strings.HasPrefix(r.URL.Path, "/lab/"):
		p.files.ServeHTTP(w, r)
	case r.URL.Host == "":
		http.NotFound(w, r)
	case r.Method == http.MethodGet && immutable(r.URL.Path):
		p.serveKept(w, r)
	default:
		(&httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}}).ServeHTTP(w, r)
	}
}

// immutable reports whether what is under the path never changes: a package has its
// version in its name, and by-hash indices are named by their content.
func immutable(path string) bool {
	return strings.HasSuffix(path, ".deb") || strings.Contains(path, "/by-hash/")
}

// errUpstream carries a mirror's refusal to the client.
type errUpstream struct{ code int }

func (e errUpstream) Error() string { return fmt.Sprintf("the mirror answers %d", e.code) }

func (p *proxy) serveKept(w http.ResponseWriter, r *http.Request) {
	sum := sha256.Sum256([]byte(r.URL.String()))
	path := filepath.Join(p.dir, hex.EncodeToString(sum[:]))
	_, err, _ := p.flight.Do(path, func() (any, error) { return nil, fetch(r, path) })
	var refused errUpstream
	switch {
	case errors.As(err, &refused):
		http.Error(w, err.Error(), refused.code)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadGateway)
	default:
		http.ServeFile(w, r, path)
	}
}

// fetch puts what the request asks for at path, unless it is there. The name
// appears only once the content is whole, so that several caches can share a
// folder.
func fetch(r *http.Request, path string) (err error) {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	req, err := http.NewRequest(http.MethodGet, r.URL.String(), nil) //nolint:noctx // others wait for the same download; one client's leaving must not end it
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errUpstream{resp.StatusCode}
	}
	f, err := os.CreateTemp(filepath.Dir(path), "part-")
	if err != nil {
		return err
	}
	n, err := io.Copy(f, resp.Body)
	if err = errors.Join(err, f.Close()); err == nil && resp.ContentLength >= 0 && n != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// tunnel passes an encrypted mirror through; its packages can't be kept.
func tunnel(w http.ResponseWriter, r *http.Request) {
	far, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer far.Close()
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer near.Close()
	if _, err := io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	ended := make(chan struct{}, 2)
	pass := func(to io.Writer, from io.Reader) {
		io.Copy(to, from) //nolint:errcheck // a tunnel ends when either side does, however
		ended <- struct{}{}
	}
	go pass(far, buffered)
	go pass(near, far)
	<-ended
}
