package storage_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"salvor/internal/storage"
)

// TestAPutTakesFewRequests, since each is a round trip: make the folder, store, look (as
// rclone does), look again, read back, then rename, which rclone begins with the folder and
// ends with a look.
func TestAPutTakesFewRequests(t *testing.T) {
	server, err := url.Parse(webdavServer(t))
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int32
	to := httputil.NewSingleHostReverseProxy(server)
	counting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if at := r.Header.Get("Destination"); at != "" {
			r.Header.Set("Destination", strings.Replace(at, r.Host, server.Host, 1))
		}
		r.Host = server.Host
		to.ServeHTTP(w, r)
	}))
	t.Cleanup(counting.Close)
	f := open(t, storage.Remotes{"dav": webdavRemote(counting.URL)}, "dav", "folder")
	if _, err := f.Put(t.Context(), "first", strings.NewReader("one"), 3); err != nil {
		t.Fatal(err)
	}
	requests.Store(0)
	if _, err := f.Put(t.Context(), "second", strings.NewReader("two"), 3); err != nil {
		t.Fatal(err)
	}
	if n := requests.Load(); n > 8 {
		t.Errorf("%d requests", n)
	}
}
