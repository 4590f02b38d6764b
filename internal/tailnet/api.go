// Package tailnet is the private network that Tailscale, or a control server like it,
// makes of a fleet's hosts: keys with which one host may join once, the devices that are
// in it, and what a host needs to be one of them.
package tailnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"salvor/internal/fault"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

// PublicAPI is where Tailscale's own API is.
const PublicAPI = "https://api.tailscale.com"

// What can go wrong; the errors of an API wrap one of them where it is known.
var (
	// ErrClient means that the OAuth client, or its secret, is refused.
	ErrClient = errors.New("the OAuth client or its secret was refused")
	// ErrScope means that the client may not do that.
	ErrScope = errors.New("the OAuth client lacks a scope")
	// ErrTags means that a tag does not exist, or is not owned by one of the client's.
	ErrTags = errors.New("the tags were refused")
	// ErrAway means that the API does not answer, or not now.
	ErrAway = fault.Kind("the tailnet's API does not answer", fault.Unreachable)
)

const (
	answerLimit = 30 * time.Second
	maxAnswer   = 16 << 20
	attempts    = 4
	maxPause    = 30 * time.Second // that a server may ask for
	early       = time.Minute      // a token is not used that close to its end
)

// An API acts for an OAuth client. It is safe for concurrent use.
type API struct {
	base   string
	id     string
	secret secret.Value
	http   *http.Client

	mu    sync.Mutex // guards what follows; held while a token is asked for
	token secret.Value
	until time.Time
}

// NewAPI returns the API at base, PublicAPI or a server of that kind. A base without TLS is
// refused, except on loopback: a token would be readable on the way.
func NewAPI(base, id string, client secret.Value) (*API, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is not the address of an API", base)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%s: use https: the token could be read on the way", base)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &API{base: strings.TrimSuffix(base, "/"), id: id, secret: client, http: &http.Client{Timeout: answerLimit, CheckRedirect: stay}}, nil
}

// A Key lets one host join once.
type Key struct {
	ID      string
	Value   secret.Value
	Expires time.Time
}

// Mint makes a key for one host: single use, pre-approved, with the tags, for lifetime.
// A call that failed may have made one, which ends unused.
func (a *API) Mint(ctx context.Context, host string, tags []string, lifetime time.Duration) (Key, error) {
	type create struct {
		Reusable      bool     `json:"reusable"`
		Ephemeral     bool     `json:"ephemeral"`
		Preauthorized bool     `json:"preauthorized"`
		Tags          []string `json:"tags"`
	}
	var ask struct {
		Capabilities struct {
			Devices struct {
				Create create `json:"create"`
			} `json:"devices"`
		} `json:"capabilities"`
		ExpirySeconds int64  `json:"expirySeconds"`
		Description   string `json:"description"`
	}
	ask.Capabilities.Devices.Create = create{Preauthorized: true, Tags: tags}
	ask.ExpirySeconds, ask.Description = int64(lifetime/time.Second), describe(host)
	var made struct {
		ID      string    `json:"id"`
		Key     string    `json:"key"`
		Expires time.Time `json:"expires"`
	}
	if err := a.call(ctx, http.MethodPost, "/api/v2/tailnet/-/keys", ask, &made); err != nil {
		return Key{}, fmt.Errorf("make a key for %s: %w", host, err)
	}
	if made.Key == "" || strings.ContainsAny(made.Key, "\r\n\x00") {
		return Key{}, fmt.Errorf("make a key for %s: the answer has none", host)
	}
	return Key{ID: made.ID, Value: secret.NewString(made.Key), Expires: made.Expires}, nil
}

// describe is a description that the API takes: at most 50 letters, digits, blanks and
// hyphens.
func describe(host string) string {
	text := "salvor " + strings.Map(func(r rune) rune {
		if r == '-' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, host)
	return text[:min(len(text), 50)]
}

// A Device is a machine in the tailnet.
type Device struct {
	ID        string    `json:"nodeId"`
	Name      string    `json:"name"`     // in the tailnet's DNS: "alpha.tail1234.ts.net"
	Hostname  string    `json:"hostname"` // as it calls itself
	Addresses []string  `json:"addresses"`
	Tags      []string  `json:"tags"`
	LastSeen  time.Time `json:"lastSeen"`
	Expires   time.Time `json:"expires"`
	NoExpiry  bool      `json:"keyExpiryDisabled"`
}

// Devices returns all that are in the tailnet. The API has no pages for them.
func (a *API) Devices(ctx context.Context) ([]Device, error) {
	var answer struct {
		Devices []Device `json:"devices"`
	}
	if err := a.call(ctx, http.MethodGet, "/api/v2/tailnet/-/devices", nil, &answer); err != nil {
		return nil, fmt.Errorf("list the devices: %w", err)
	}
	return answer.Devices, nil
}

// Delete removes a device, whose name is free then; nil for one that is gone already.
func (a *API) Delete(ctx context.Context, id string) error {
	err := a.call(ctx, http.MethodDelete, "/api/v2/device/"+url.PathEscape(id), nil, nil)
	if errors.Is(err, errGone) {
		return nil
	}
	if err != nil {
		err = fmt.Errorf("remove the device %s: %w", terminal.Line(id), err)
	}
	return err
}

var (
	errGone  = errors.New("it does not exist")
	errToken = errors.New("the token was refused")
)

// call does one request, again while the API has too much to do, and once more with a new
// token where it refuses one that was in use.
func (a *API) call(ctx context.Context, method, path string, ask, answer any) error {
	body := []byte(nil)
	if ask != nil {
		var err error
		if body, err = json.Marshal(ask); err != nil {
			return err
		}
	}
	for fresh := false; ; fresh = true {
		token, err := a.bearer(ctx, fresh)
		if err != nil {
			return err
		}
		content, err := a.patiently(ctx, func() (*http.Request, error) {
			r, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(body))
			if err == nil {
				r.Header.Set("Authorization", "Bearer "+string(token.Reveal()))
				r.Header.Set("Content-Type", "application/json")
			}
			return r, err
		})
		if errors.Is(err, errToken) && !fresh {
			continue
		}
		if err != nil || answer == nil {
			return err
		}
		if err := json.Unmarshal(content, answer); err != nil {
			return errors.New("the answer is not what the API describes")
		}
		return nil
	}
}

// bearer returns an access token, a new one where the last has ended or is refused.
func (a *API) bearer(ctx context.Context, fresh bool) (secret.Value, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !fresh && !a.token.IsZero() && time.Now().Before(a.until) {
		return a.token, nil
	}
	form := url.Values{"client_id": {a.id}, "client_secret": {string(a.secret.Reveal())}, "grant_type": {"client_credentials"}}
	content, err := a.patiently(ctx, func() (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+"/api/v2/oauth/token", strings.NewReader(form.Encode()))
		if err == nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		return r, err
	})
	if errors.Is(err, errToken) {
		err = ErrClient
	}
	if err != nil {
		return secret.Value{}, err
	}
	var got struct {
		Token   string `json:"access_token"`
		Seconds int64  `json:"expires_in"`
	}
	if err := json.Unmarshal(content, &got); err != nil || got.Token == "" {
		return secret.Value{}, errors.New("the answer has no access token")
	}
	a.token, a.until = secret.NewString(got.Token), time.Now().Add(time.Duration(got.Seconds)*time.Second-early)
	return a.token, nil
}

// patiently does a request until the API does not answer that it is too busy.
func (a *API) patiently(ctx context.Context, request func() (*http.Request, error)) ([]byte, error) {
	for try := 1; ; try++ {
		r, err := request()
		if err != nil {
			return nil, err
		}
		content, pause, err := a.once(r)
		if pause < 0 || try == attempts {
			return content, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// once returns what the API answers, and how long to wait before the next try; less than 0
// for never.
func (a *API) once(r *http.Request) (content []byte, pause time.Duration, err error) {
	resp, err := a.http.Do(r)
	if err != nil {
		if r.Context().Err() != nil {
			return nil, -1, context.Cause(r.Context())
		}
		var where *url.Error
		if errors.As(err, &where) {
			err = where.Err // without the address, which is known
		}
		return nil, -1, fmt.Errorf("%w: %s: %w", ErrAway, a.base, err)
	}
	defer resp.Body.Close()
	content, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, -1, fmt.Errorf("%w: %s: %w", ErrAway, a.base, err)
	case resp.StatusCode == http.StatusTooManyRequests:
		return nil, retryAfter(resp), fmt.Errorf("%w: it has too many requests", ErrAway)
	case resp.StatusCode >= 500 && r.Method != http.MethodPost:
		return nil, time.Second, fmt.Errorf("%w: status %d", ErrAway, resp.StatusCode)
	}
	return content, -1, refusal(resp.StatusCode, content)
}

func retryAfter(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return time.Second
	}
	return min(time.Duration(seconds)*time.Second, maxPause)
}

// refusal is the error of a status, with what the API says about it.
func refusal(status int, content []byte) error {
	if status/100 == 2 {
		return nil
	}
	var said struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(content, &said) // what is not JSON says nothing that helps
	kind := fmt.Errorf("status %d", status)
	switch {
	case status == http.StatusUnauthorized:
		kind = errToken
	case status == http.StatusNotFound:
		kind = errGone
	case strings.Contains(said.Message, "tags"):
		kind = ErrTags
	case status == http.StatusForbidden:
		kind = ErrScope
	case status >= 500:
		kind = fmt.Errorf("%w: status %d", ErrAway, status)
	}
	if said.Message == "" {
		return kind
	}
	return fmt.Errorf("%w: %.200s", kind, terminal.Line(said.Message))
}
