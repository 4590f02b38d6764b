package faultproxy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/webdav"

	"salvor/internal/lab/faultproxy"
)

// remote is a WebDAV server with a proxy before it, and the folder it serves.
func remote(t *testing.T) (proxy *faultproxy.Proxy, address, dir string) {
	t.Helper()
	dir = t.TempDir()
	server := httptest.NewServer(&webdav.Handler{FileSystem: webdav.Dir(dir), LockSystem: webdav.NewMemLS()})
	t.Cleanup(server.Close)
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy = faultproxy.New(target)
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	return proxy, front.URL, dir
}

type answer struct {
	code int
	body string
	err  error // of the request, or of reading the answer
}

func ask(ctx context.Context, t *testing.T, method, at, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := new(http.Transport).RoundTrip(req) // a connection of its own
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(content), err}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func stored(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(content)
}

func TestPassesEverythingOn(t *testing.T) {
	_, at, dir := remote(t)
	if a := ask(t.Context(), t, "PUT", at+"/a", "content"); a.code != http.StatusCreated {
		t.Errorf("PUT: %+v", a)
	}
	if a := ask(t.Context(), t, "MOVE", at+"/a", "", "Destination", at+"/b"); a.code != http.StatusCreated {
		t.Errorf("MOVE: %+v", a)
	}
	if got := stored(t, filepath.Join(dir, "b")); got != "content" {
		t.Errorf("stored %q", got)
	}
	if a := ask(t.Context(), t, "GET", at+"/b", ""); a.body != "content" {
		t.Errorf("GET: %+v", a)
	}
}

func TestFaultsOfDownloads(t *testing.T) {
	for name, c := range map[string]struct {
		fault faultproxy.Fault
		code  int
		body  string
		fails bool
	}{
		"status":   {faultproxy.Status(http.StatusInsufficientStorage), http.StatusInsufficientStorage, "Insufficient Storage\n", false},
		"truncate": {faultproxy.Truncate(), http.StatusOK, "conten", false},
		"flip":     {faultproxy.Flip(), http.StatusOK, "conten!onten", false},
		"cut":      {faultproxy.Cut(), http.StatusOK, "conten", true},
		"drop":     {faultproxy.Drop(http.StatusOK), http.StatusOK, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			proxy, at, dir := remote(t)
			write(t, filepath.Join(dir, "a"), "conten onten")
			rule := proxy.Add(faultproxy.Rule{Method: "GET", Path: "/a", Fault: c.fault})
			a := ask(t.Context(), t, "GET", at+"/a", "")
			if a.code != c.code || a.body != c.body || (a.err != nil) != c.fails {
				t.Errorf("got %+v", a)
			}
			if rule.Struck() != 1 {
				t.Errorf("struck %d times", rule.Struck())
			}
		})
	}
}

func TestFaultsOfUploads(t *testing.T) {
	for name, c := range map[string]struct {
		fault  faultproxy.Fault
		code   int
		stored string
	}{
		"status":   {faultproxy.Status(http.StatusForbidden), http.StatusForbidden, ""},
		"drop":     {faultproxy.Drop(http.StatusCreated), http.StatusCreated, ""},
		"truncate": {faultproxy.Truncate(), http.StatusCreated, "conten"},
		"flip":     {faultproxy.Flip(), http.StatusCreated, "conten!onten"},
	} {
		t.Run(name, func(t *testing.T) {
			proxy, at, dir := remote(t)
			proxy.Add(faultproxy.Rule{Method: "PUT", Path: "/a", Fault: c.fault})
			if a := ask(t.Context(), t, "PUT", at+"/a", "conten onten"); a.code != c.code {
				t.Errorf("got %+v", a)
			}
			if got := stored(t, filepath.Join(dir, "a")); got != c.stored {
				t.Errorf("stored %q", got)
			}
		})
	}
	t.Run("cut", func(t *testing.T) {
		proxy, at, _ := remote(t)
		proxy.Add(faultproxy.Rule{Method: "PUT", Path: "/a", Fault: faultproxy.Cut()})
		if a := ask(t.Context(), t, "PUT", at+"/a", "conten onten"); a.err == nil {
			t.Errorf("got %+v", a)
		}
	})
}

func TestHangUntilLifted(t *testing.T) {
	proxy, at, dir := remote(t)
	write(t, filepath.Join(dir, "a"), "content")
	rule := proxy.Add(faultproxy.Rule{Path: "/a", Fault: faultproxy.Hang()})
	got := make(chan answer, 1)
	go func() { got <- ask(t.Context(), t, "GET", at+"/a", "") }()
	for rule.Struck() == 0 {
		select {
		case a := <-got:
			t.Fatalf("answered %+v", a)
		case <-time.After(time.Millisecond):
		}
	}
	select {
	case a := <-got:
		t.Fatalf("answered %+v", a)
	default:
	}
	rule.Lift()
	rule.Lift()
	if a := <-got; a.body != "content" {
		t.Errorf("got %+v", a)
	}
}

func TestHangEndsWithItsClient(t *testing.T) {
	proxy, at, _ := remote(t)
	rule := proxy.Add(faultproxy.Rule{Path: "/a", Fault: faultproxy.Hang()})
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan answer, 1)
	go func() { got <- ask(ctx, t, "GET", at+"/a", "") }()
	for rule.Struck() == 0 {
		<-time.After(time.Millisecond)
	}
	cancel()
	if a := <-got; a.err == nil {
		t.Errorf("got %+v", a)
	}
}

func TestDelay(t *testing.T) {
	proxy, at, dir := remote(t)
	write(t, filepath.Join(dir, "a"), "content")
	proxy.Add(faultproxy.Rule{Path: "/a", Fault: faultproxy.Delay(30 * time.Millisecond)})
	began := time.Now()
	if a := ask(t.Context(), t, "GET", at+"/a", ""); a.body != "content" || time.Since(began) < 30*time.Millisecond {
		t.Errorf("got %+v after %s", a, time.Since(began))
	}
}

func TestRulesCountAndMatch(t *testing.T) {
	proxy, at, dir := remote(t)
	for _, name := range []string{"snapshots/1", "data/aa/1", "data/2"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, path, "content")
	}
	codes := func(method string, names ...string) (got []int) {
		for _, name := range names {
			got = append(got, ask(t.Context(), t, method, at+"/"+name, "").code)
		}
		return got
	}
	check := func(what string, got []int, want ...int) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%s: %v", what, got)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
	}
	gone := faultproxy.Status(http.StatusGone)
	rule := proxy.Add(faultproxy.Rule{Method: "GET", Path: "/data/*", Skip: 1, Count: 2, Fault: gone})
	check("the second and third", codes("GET", "data/2", "data/2", "data/2", "data/2"), 200, 410, 410, 200)
	check("other folders and methods", codes("GET", "data/aa/1", "snapshots/1"), 200, 200)
	rule.Lift()
	rule = proxy.Add(faultproxy.Rule{Path: "/data/**", Fault: gone})
	check("every folder below", codes("GET", "data/aa/1", "data/2", "snapshots/1"), 410, 410, 200)
	check("every method", codes("DELETE", "data/2"), 410)
	rule.Lift()
	check("lifted", codes("GET", "data/2"), 200)
}

func TestHide(t *testing.T) {
	proxy, at, dir := remote(t)
	for _, name := range []string{"old", "new one", "newer"} {
		write(t, filepath.Join(dir, name), "content")
	}
	rule := proxy.Add(faultproxy.Rule{Method: "PROPFIND", Path: "**", Fault: faultproxy.Hide("/new*")})
	list := ask(t.Context(), t, "PROPFIND", at+"/", "", "Depth", "1")
	if strings.Contains(list.body, "new") || !strings.Contains(list.body, "/old<") || list.code != http.StatusMultiStatus {
		t.Errorf("listed %+v", list)
	}
	if one := ask(t.Context(), t, "PROPFIND", at+"/newer", "", "Depth", "0"); !strings.Contains(one.body, "/newer<") {
		t.Errorf("by its name: %+v", one)
	}
	rule.Lift()
	list = ask(t.Context(), t, "PROPFIND", at+"/", "", "Depth", "1")
	if !strings.Contains(list.body, "/newer<") || !strings.Contains(list.body, "/new%20one<") {
		t.Errorf("listed %+v", list)
	}
}

func TestServerThatIsAwayCutsTheLine(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	front := httptest.NewServer(faultproxy.New(target))
	defer front.Close()
	if a := ask(t.Context(), t, "GET", front.URL+"/a", ""); a.err == nil {
		t.Errorf("got %+v", a)
	}
}
