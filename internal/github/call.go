package github

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
	"time"

	"salvor/internal/fault"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

// ErrAway means that GitHub does not answer, or not now.
var ErrAway = fault.Kind("GitHub does not answer", fault.Unreachable)

const (
	apiVersion  = "2022-11-28"
	answerLimit = 30 * time.Second
	maxAnswer   = 4 << 20
	attempts    = 4
	maxPause    = time.Minute // that GitHub may ask for
	redirects   = 3
)

// An API acts with one token. It is safe for concurrent use.
type API struct {
	site  Site
	token secret.Value
	http  *http.Client
}

// New returns the API of a site. One without TLS is refused, except on loopback: the token
// would be readable on the way.
func New(s Site, token secret.Value) (*API, error) {
	u, err := url.Parse(s.API)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is not the address of an API", s.API)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%s: use https: the token could be read on the way", s.API)
	}
	if strings.ContainsFunc(string(token.Reveal()), func(r rune) bool { return r <= ' ' || r > '~' }) || token.IsZero() {
		return nil, fmt.Errorf("%w: it is empty, or has blanks or line ends", ErrToken)
	}
	return &API{site: s, token: token, http: &http.Client{Timeout: answerLimit, CheckRedirect: stay}}, nil
}

// stay follows GitHub to where a renamed repository is, and to no other server.
func stay(to *http.Request, via []*http.Request) error {
	if to.URL.Host != via[0].URL.Host || to.URL.Scheme != via[0].URL.Scheme || len(via) > redirects {
		return http.ErrUseLastResponse
	}
	return nil
}

// call does one request, again while GitHub asks to wait, and returns the header of the
// answer.
func (a *API) call(ctx context.Context, method, path string, ask, answer any) (http.Header, error) {
	var body []byte
	if ask != nil {
		var err error
		if body, err = json.Marshal(ask); err != nil {
			return nil, err
		}
	}
	for try := 1; ; try++ {
		r, err := a.request(ctx, method, path, body)
		if err != nil {
			return nil, err
		}
		header, content, pause, err := a.once(r)
		if pause < 0 || pause > maxPause || try == attempts {
			if err == nil && answer != nil && json.Unmarshal(content, answer) != nil {
				err = errors.New("the answer is not what GitHub describes")
			}
			return header, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (a *API) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(a.site.API, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+string(a.token.Reveal()))
	r.Header.Set("Accept", "application/vnd.github+json")
	r.Header.Set("X-GitHub-Api-Version", apiVersion)
	r.Header.Set("User-Agent", "salvor")
	return r, nil
}

// once returns what GitHub answers, and how long to wait before the next try; less than 0
// for never.
func (a *API) once(r *http.Request) (http.Header, []byte, time.Duration, error) {
	resp, err := a.http.Do(r)
	if err != nil {
		if r.Context().Err() != nil {
			return nil, nil, -1, context.Cause(r.Context())
		}
		var where *url.Error
		if errors.As(err, &where) {
			err = where.Err // without the address, which is known
		}
		return nil, nil, -1, fmt.Errorf("%w: %w", ErrAway, err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, nil, -1, fmt.Errorf("%w: %w", ErrAway, err)
	}
	if pause, limited := limit(resp, time.Now()); limited {
		return nil, nil, pause, fmt.Errorf("%w: the token has made too many requests; GitHub takes the next one in %s", ErrAway, terminal.Duration(pause))
	}
	if resp.StatusCode >= 500 {
		pause := time.Duration(-1)
		if r.Method != http.MethodPost { // which may have had its effect
			pause = time.Second
		}
		return nil, nil, pause, fmt.Errorf("%w: status %d", ErrAway, resp.StatusCode)
	}
	return resp.Header, content, -1, refusal(resp, content)
}

// limit reports whether a request was one too many, and how long GitHub wants a pause:
// https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api.
func limit(resp *http.Response, now time.Time) (time.Duration, bool) {
	after, used := resp.Header.Get("Retry-After"), resp.Header.Get("X-Ratelimit-Remaining") == "0"
	refused := resp.StatusCode == http.StatusForbidden && (after != "" || used)
	if resp.StatusCode != http.StatusTooManyRequests && !refused {
		return 0, false
	}
	if seconds, err := strconv.Atoi(after); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 86400)) * time.Second, true
	}
	if reset, err := strconv.ParseInt(resp.Header.Get("X-Ratelimit-Reset"), 10, 64); err == nil && used {
		return max(time.Unix(reset, 0).Sub(now), 0), true
	}
	return maxPause, true
}

// refusal is the error of an answer, with what GitHub says about it.
func refusal(resp *http.Response, content []byte) error {
	if resp.StatusCode/100 == 2 {
		return nil
	}
	var said struct {
		Message string `json:"message"`
		Errors  []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	_ = json.Unmarshal(content, &said) // what is not JSON says nothing that helps
	text := said.Message
	for _, e := range said.Errors {
		if e.Message != "" {
			text = e.Message
		}
	}
	kind := fmt.Errorf("status %d", resp.StatusCode)
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		kind = ErrToken
	case resp.StatusCode == http.StatusForbidden:
		kind = ErrPermission
	case resp.StatusCode == http.StatusNotFound:
		kind, text = ErrNone, ""
	case resp.StatusCode == http.StatusUnprocessableEntity && strings.Contains(text, "already in use"):
		kind, text = ErrInUse, ""
	case resp.StatusCode == http.StatusUnprocessableEntity && strings.Contains(text, "name already exists"):
		kind, text = ErrExists, ""
	}
	if text != "" {
		kind = fmt.Errorf("%w: %.200s", kind, terminal.Line(text))
	}
	if lacks := permission(resp.Header); lacks != "" && (resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusNotFound) {
		kind = fmt.Errorf("%w; %s", kind, lacks)
	}
	return kind
}

// permission says what a token would need, as GitHub puts it, "" where it does not: the
// permission of a fine-grained token, or the scopes of a classic one.
func permission(h http.Header) string {
	if scopes := h.Values("X-Oauth-Scopes"); len(scopes) > 0 {
		has, needs := strings.Join(scopes, ", "), strings.Join(h.Values("X-Accepted-Oauth-Scopes"), ", ")
		if needs == "" {
			return ""
		}
		if has == "" {
			has = "none"
		}
		return fmt.Sprintf("it needs one of the scopes %.100s, and has %.100s", terminal.Line(needs), terminal.Line(has))
	}
	if needs := h.Get("X-Accepted-Github-Permissions"); needs != "" {
		return fmt.Sprintf("it needs the permission %.100s", terminal.Line(strings.ReplaceAll(needs, "; ", " or ")))
	}
	return ""
}
