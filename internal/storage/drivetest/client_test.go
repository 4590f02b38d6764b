package drivetest

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	olga = "olga@example.com"
	ben  = "ben@example.com"
)

// A clock stands still until a test moves it.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newClock() *clock { return &clock{time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)} }

// A world is a server with two persons, an app and a clock.
type world struct {
	*Server
	t     *testing.T
	clock *clock
	root  string // of Olga's My Drive
	token string // hers, for all of Drive
}

func newWorld(t *testing.T, o Options) *world {
	t.Helper()
	c := newClock()
	o.Now = c.now
	w := &world{Server: New(o), t: t, clock: c}
	w.root = w.Account(olga, 1000)
	w.Account(ben, 0)
	w.AddClient(Client{ID: "app", Secret: "s3cret"})
	w.AddClient(Client{ID: "other", Secret: "s3cret"})
	w.token = w.login(olga, "app", ScopeDrive)
	return w
}

// login returns an access token.
func (w *world) login(email, client string, scopes ...string) string {
	w.t.Helper()
	var token struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(w.Grant(email, client, scopes...)), &token); err != nil {
		w.t.Fatal(err)
	}
	return token.Access
}

// An answer is what a request got.
type answer struct {
	*httptest.ResponseRecorder
	t *testing.T
}

// do sends a request for the path, or for a URL, as the one with the token.
func (w *world) do(token, method, at string, header http.Header, body string) answer {
	w.t.Helper()
	if strings.HasPrefix(at, "/") {
		at = "https://www.googleapis.com" + at
	}
	r := httptest.NewRequestWithContext(w.t.Context(), method, at, strings.NewReader(body))
	maps.Copy(r.Header, header)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return answer{rec, w.t}
}

func (w *world) api(method, path, body string) answer {
	w.t.Helper()
	return w.do(w.token, method, path, nil, body)
}

func (w *world) form(at string, pairs ...string) answer {
	w.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return w.do("", http.MethodPost, at, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form.Encode())
}

// wants checks the status, and the reason where it is an error.
func (a answer) wants(code int, reason string) answer {
	a.t.Helper()
	var body refusalBody
	got := ""
	if a.Code >= 400 {
		_ = json.Unmarshal(a.Body.Bytes(), &body)
		if len(body.Error.Errors) == 1 {
			got = body.Error.Errors[0].Reason
		}
	}
	if a.Code != code || got != reason {
		a.t.Errorf("%d %q, want %d %q: %s", a.Code, got, code, reason, a.Body)
	}
	return a
}

// into decodes the answer.
func (a answer) into(v any) {
	a.t.Helper()
	if err := json.Unmarshal(a.Body.Bytes(), v); err != nil {
		a.t.Fatalf("%v: %s", err, a.Body)
	}
}

func (a answer) file() fileResource {
	a.t.Helper()
	var f fileResource
	a.wants(http.StatusOK, "").into(&f)
	return f
}

// put uploads a file in one request.
func (w *world) put(token, metadata, content string) answer {
	w.t.Helper()
	var body bytes.Buffer
	for _, part := range [][2]string{{"application/json", metadata}, {"text/plain", content}} {
		body.WriteString("--b\r\nContent-Type: " + part[0] + "\r\n\r\n" + part[1] + "\r\n")
	}
	body.WriteString("--b--\r\n")
	return w.do(token, http.MethodPost, "/upload/drive/v3/files?uploadType=multipart&supportsAllDrives=true&fields=*", http.Header{"Content-Type": {"multipart/related; boundary=b"}}, body.String())
}

func (w *world) names(token, q, more string) []string {
	w.t.Helper()
	var list listResource
	w.do(token, http.MethodGet, "/drive/v3/files?q="+url.QueryEscape(q)+more, nil, "").wants(http.StatusOK, "").into(&list)
	names := []string{}
	for _, f := range list.Files {
		names = append(names, f.Name)
	}
	return names
}
