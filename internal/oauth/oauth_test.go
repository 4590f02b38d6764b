package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"salvor/internal/fault"
	"salvor/internal/secret"
	"salvor/internal/storage/drivetest"
)

const olga = "olga@example.com"

// emulated is an emulated Google with a client of each type, and a context whose requests
// go there.
func emulated(t *testing.T) (*drivetest.Server, context.Context) {
	t.Helper()
	s := drivetest.New(drivetest.Options{DevicePace: time.Second})
	s.Account(olga, 0)
	for _, c := range []drivetest.Client{{ID: "tv", Secret: "s", Limited: true}, {ID: "desk", Secret: "s"}, {ID: "week", Secret: "s", Testing: true}} {
		s.AddClient(c)
	}
	front, err := drivetest.NewFront(s)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, front.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	proxy, err := front.Proxy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client, err := drivetest.Browser(proxy, ca)
	if err != nil {
		t.Fatal(err)
	}
	return s, context.WithValue(t.Context(), oauth2.HTTPClient, client)
}

func app(id string, scope Scope) App { return App{ID: id, Secret: secret.NewString("s"), Scope: scope} }

// visit opens an address as the browser of a person does who is signed in.
func visit(t *testing.T, ctx context.Context, address string) {
	t.Helper()
	client, _ := ctx.Value(oauth2.HTTPClient).(*http.Client)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Error(err)
		return
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the browser sees %s", answer.Status)
	}
}

func TestBrowser(t *testing.T) {
	s, ctx := emulated(t)
	var visits sync.WaitGroup // the page that ends a login is shown whole, however soon the login goes on
	for _, c := range []struct {
		client, person string
		ends           time.Duration
		want           error
	}{{"desk", olga, 0, nil}, {"week", olga, 7*24*time.Hour - time.Second, nil}, {"desk", "", 0, ErrDenied}} {
		s.SignIn(c.person)
		granted, err := app(c.client, Drive).Browser(ctx, func(address string) {
			if q, err := url.Parse(address); err != nil || q.Query().Get("code_challenge_method") != "S256" || strings.Contains(address, "client_secret") {
				t.Errorf("%s, %v", address, err)
			}
			visits.Go(func() { visit(t, ctx, address) })
		})
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || granted.Ends != c.ends {
			t.Errorf("%s: %v, ends in %s", c.client, err, granted.Ends)
		}
		var token struct {
			Refresh string `json:"refresh_token"`
			Expiry  time.Time
		}
		if err == nil && (json.Unmarshal(granted.Token.Reveal(), &token) != nil || token.Refresh == "" || token.Expiry.Before(time.Now())) {
			t.Errorf("%s: not a token as rclone has it", c.client)
		}
	}
	visits.Wait()
}

// TestAForeignRedirectIsIgnored: another page of the browser can't give us its code.
func TestAForeignRedirectIsIgnored(t *testing.T) {
	s, ctx := emulated(t)
	s.SignIn(olga)
	client, _ := ctx.Value(oauth2.HTTPClient).(*http.Client)
	var visits sync.WaitGroup
	_, err := app("desk", Drive).Browser(ctx, func(address string) {
		u, err := url.Parse(address)
		if err != nil {
			t.Error(err)
			return
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.Query().Get("redirect_uri")+"/?code=stolen&state=other", nil)
		if err != nil {
			t.Error(err)
			return
		}
		visits.Go(func() {
			answer, err := client.Do(r)
			if err != nil || answer.StatusCode != http.StatusNotFound {
				t.Errorf("%v, %v", answer, err)
				return
			}
			answer.Body.Close()
			visit(t, ctx, address)
		})
	})
	if err != nil {
		t.Error(err)
	}
	visits.Wait()
}

// TestNothingIsGranted is how a login fails before anyone is asked.
func TestNothingIsGranted(t *testing.T) {
	s, ctx := emulated(t)
	never := func(Code) { t.Error("a code was shown") }
	for id, want := range map[string]error{"desk": ErrKind, "none": ErrClient} {
		if _, err := app(id, DriveFile).Device(ctx, never); !errors.Is(err, want) {
			t.Errorf("%s: %v", id, err)
		}
	}
	_, err := App{ID: "tv", Secret: secret.NewString("wrong-canary"), Scope: DriveFile}.Device(ctx, func(c Code) { s.Approve(c.Code, olga) })
	if !errors.Is(err, ErrClient) || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := app("tv", DriveFile).Device(gone, never); err == nil {
		t.Error("an interrupted login ends well")
	}
	away := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: noNetwork{}})
	_, err = app("tv", DriveFile).Device(away, never)
	if code, _ := fault.Code(err); code != fault.Unreachable {
		t.Errorf("without a network: %v", err)
	}
}

type noNetwork struct{}

func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no network")
}
