package drivetest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestRules(t *testing.T) {
	w := newWorld(t, Options{})
	second := w.Fail(Rule{Kind: List, Skip: 1, Count: 1, Fault: Refuse(ErrTooMany)})
	w.api("GET", "/drive/v3/files", "").wants(200, "")
	w.api("GET", "/drive/v3/about?fields=user", "").wants(200, "")
	w.api("GET", "/drive/v3/files", "").wants(429, "rateLimitExceeded")
	w.api("GET", "/drive/v3/files", "").wants(200, "")
	if second.Times() != 1 {
		t.Errorf("it struck %d times", second.Times())
	}
	third := w.Fail(Rule{Kind: About, Every: 3, Fault: Refuse(ErrBackend)})
	for i := range 7 {
		if got := w.api("GET", "/drive/v3/about?fields=user", ""); (got.Code == 500) != (i%3 == 0) {
			t.Errorf("call %d: %d", i, got.Code)
		}
	}
	if third.Times() != 3 {
		t.Errorf("of 7 calls every third is %d", third.Times())
	}
	half := w.Fail(Rule{Chance: 0.5, Fault: Refuse(ErrUnavailable)})
	for range 200 {
		w.api("GET", "/drive/v3/files", "")
	}
	if n := half.Times(); n < 60 || n > 140 {
		t.Errorf("of 200 calls it struck %d", n)
	}
	w.Mend()
	w.api("GET", "/drive/v3/files", "").wants(200, "")
	if got := w.Counts(); got[List] != 204 || got[About] != 8 || got.Units() != 204*100+8*5 || len(w.Calls()) != 212 {
		t.Errorf("%v", got)
	}
	w.Fail(Rule{Kind: Create, Fault: RefuseLate(ErrBackend)})
	w.put(w.token, `{"name":"f"}`, "x").wants(500, "backendError")
	if len(w.Look(w.root)) != 1 {
		t.Error("what was refused late was not done")
	}
}

// throughProxy returns an HTTP client that finds Google at the server.
func throughProxy(t *testing.T, s *Server) *http.Client {
	t.Helper()
	front, err := NewFront(s)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := front.Proxy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(front.CA)
	transport := &http.Transport{Proxy: http.ProxyURL(at), TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestCuts(t *testing.T) {
	w := newWorld(t, Options{})
	w.SetLimit(olga, 0)
	client := throughProxy(t, w.Server)
	send := func(method, at, body string) (string, error) {
		r, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+w.token)
		r.Header.Set("Content-Type", "text/plain")
		resp, err := client.Do(r)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		return string(got), err
	}
	content := strings.Repeat("x", 1<<20)
	const media = "https://www.googleapis.com/upload/drive/v3/files?uploadType=media"
	w.Fail(Rule{Kind: Create, Count: 1, Fault: CutRequest()})
	if _, err := send("POST", media, content); err == nil || len(w.Look(w.root)) != 0 {
		t.Errorf("%v, and there is %v", err, w.Look(w.root))
	}
	w.Fail(Rule{Kind: Create, Count: 1, Fault: CutAnswer()})
	if _, err := send("POST", media, content); err == nil || len(w.Look(w.root)) != 1 {
		t.Errorf("%v, and there is %v", err, w.Look(w.root))
	}
	file := "https://www.googleapis.com/drive/v3/files/" + w.Look(w.root)[0].ID + "?alt=media"
	w.Fail(Rule{Kind: Download, Count: 1, Fault: CutAnswer()})
	if got, err := send("GET", file, ""); !errors.Is(err, io.ErrUnexpectedEOF) || len(got) != 1<<19 {
		t.Errorf("%d bytes, then %v", len(got), err)
	}
	began := time.Now()
	w.Fail(Rule{Kind: Download, Count: 1, Fault: Slow(time.Millisecond)})
	if got, err := send("GET", file, ""); err != nil || got != content || time.Since(began) < 16*time.Millisecond {
		t.Errorf("%d bytes, %v, after %v", len(got), err, time.Since(began))
	}
	if _, err := send("GET", "https://example.com/", ""); err == nil {
		t.Error("the proxy leads elsewhere")
	}
}
