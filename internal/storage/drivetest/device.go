package drivetest

import (
	"net/http"
	"strings"
	"time"
)

const (
	deviceLife = 30 * time.Minute
	devicePace = 5 * time.Second
)

// deviceScopes are what Google lets a device ask for.
var deviceScopes = map[string]bool{
	ScopeFile: true, scopePrefix + "drive.appdata": true, "openid": true, "email": true, "profile": true,
}

type deviceAnswer struct {
	DeviceCode      string `json:"device_code"`
	UserCode        string `json:"user_code"`
	VerificationURL string `json:"verification_url"`
	ExpiresIn       int    `json:"expires_in"`
	Interval        int    `json:"interval"`
}

// deviceCode begins the login of a device without a browser.
func (l *logins) deviceCode(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		oauthAnswer(w, nil, refused(400, "invalid_request", "Bad Request"))
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a, err := l.beginDevice(r.PostForm.Get("client_id"), strings.Fields(r.PostForm.Get("scope")))
	oauthAnswer(w, a, err)
}

func (l *logins) beginDevice(client string, scopes []string) (deviceAnswer, error) {
	c := l.clients[client]
	switch {
	case c == nil:
		return deviceAnswer{}, refused(401, "invalid_client", "The OAuth client was not found.")
	case !c.Limited:
		return deviceAnswer{}, refused(401, "invalid_client", "Invalid client type.")
	case len(scopes) == 0:
		return deviceAnswer{}, refused(400, "invalid_request", "Missing required parameter: scope")
	}
	for _, scope := range scopes {
		if !deviceScopes[scope] {
			return deviceAnswer{}, refused(400, "invalid_scope", "Invalid device flow scope: "+scope)
		}
	}
	p := &pending{client: c, scopes: scopes, until: l.now().Add(deviceLife), userCode: strings.ToUpper(l.text(4) + "-" + l.text(4))}
	code := "AH-1" + l.text(60)
	l.codes[code] = p
	return deviceAnswer{code, p.userCode, "https://www.google.com/device", int(deviceLife / time.Second), int(l.pace / time.Second)}, nil
}

// Approve has an account enter a device's code and allow what it asks for. It reports
// whether there is such a code.
func (l *logins) Approve(userCode, email string) bool {
	return l.decide(userCode, func(p *pending) { p.account = l.accounts[email] })
}

// Deny has a person enter a device's code and refuse.
func (l *logins) Deny(userCode string) bool {
	return l.decide(userCode, func(p *pending) { p.denied = true })
}

func (l *logins) decide(userCode string, how func(*pending)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.codes {
		if p.userCode != "" && p.userCode == userCode && l.now().Before(p.until) {
			how(p)
			return true
		}
	}
	return false
}

// poll answers a device that asks whether its code was entered.
func (l *logins) poll(c *Client, code string) (tokens, error) {
	p := l.codes[code]
	if p == nil || p.client.ID != c.ID || p.userCode == "" {
		return tokens{}, refused(400, "invalid_grant", "Malformed device code.")
	}
	last, now := p.polled, l.now()
	p.polled = now
	switch {
	case !now.Before(p.until):
		return tokens{}, refused(400, "expired_token", "The device code has expired.")
	case p.denied:
		return tokens{}, refused(403, "access_denied", "Forbidden")
	case p.account != nil:
		delete(l.codes, code)
		return l.granted(p), nil
	case !last.IsZero() && now.Sub(last) < l.pace:
		return tokens{}, refused(403, "slow_down", "Forbidden")
	}
	return tokens{}, refused(428, "authorization_pending", "Precondition Required")
}
