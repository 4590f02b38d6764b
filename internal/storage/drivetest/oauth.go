package drivetest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	accessLife  = 3599 * time.Second
	testingLife = 7 * 24 * time.Hour // of what a person grants to an app in testing
	codeLife    = 10 * time.Minute
)

// A Client is an OAuth client, which stands for an app.
type Client struct {
	ID     string
	Secret string
	// Testing: the app is not published, and what is granted to it ends after 7 days.
	Testing bool
	// Limited: made for televisions and other devices without a browser.
	Limited bool
}

// A grant is what a person allowed an app to do, until it is revoked.
type grant struct {
	refresh string
	client  *Client
	account *account
	scopes  []string
	since   time.Time
	revoked bool
}

// A session is an access token.
type session struct {
	account *account
	client  string
	scopes  []string
	until   time.Time
	revoked bool
	grant   *grant
}

// logins is who may do what with which token.
type logins struct {
	*source
	mu       *sync.Mutex         // the server's, which guards everything below
	accounts map[string]*account // by email
	clients  map[string]*Client
	services map[string]*ServiceAccount // by email
	grants   map[string]*grant          // by refresh token
	access   map[string]*session        // by access token
	codes    map[string]*pending        // by authorization code or device code
	signedIn string                     // the account in the browser
	pace     time.Duration              // at which a device may ask
}

func newLogins(from *source, mu *sync.Mutex, pace time.Duration) logins {
	return logins{
		source: from, mu: mu, pace: pace, accounts: map[string]*account{}, clients: map[string]*Client{}, services: map[string]*ServiceAccount{},
		grants: map[string]*grant{}, access: map[string]*session{}, codes: map[string]*pending{},
	}
}

// AddClient makes an OAuth client known.
func (l *logins) AddClient(c Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clients[c.ID] = &c
}

// Grant has an account allow an app what the scopes say, as in a browser, and returns
// the tokens as rclone's option token.
func (l *logins) Grant(email, client string, scopes ...string) (token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.grant(l.accounts[email], l.clients[client], scopes)
	t := l.issue(g)
	raw, err := json.Marshal(map[string]string{
		"access_token": t.AccessToken, "token_type": t.TokenType, "refresh_token": g.refresh, "expiry": l.now().Add(accessLife).Format(time.RFC3339),
	})
	if err != nil {
		panic(err) // strings can be marshalled
	}
	return string(raw)
}

// RevokeAll ends all that an account has granted, as in the settings of its owner.
func (l *logins) RevokeAll(email string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range l.grants {
		if g.account.email == email {
			l.end(g)
		}
	}
}

func (l *logins) end(g *grant) {
	g.revoked = true
	for _, by := range l.access {
		by.revoked = by.revoked || by.grant == g
	}
}

// grant makes a grant. The caller holds the lock.
func (l *logins) grant(a *account, c *Client, scopes []string) *grant {
	g := &grant{refresh: "1//0" + l.text(40), client: c, account: a, scopes: scopes, since: l.now()}
	l.grants[g.refresh] = g
	return g
}

// tokens is what the token endpoint answers.
type tokens struct {
	AccessToken  string `json:"access_token"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
	TokenType    string `json:"token_type"`
	// RefreshEnds is there only where the grant ends at a time that is known.
	RefreshEnds int `json:"refresh_token_expires_in,omitempty"`
}

// issue makes an access token for a grant. The caller holds the lock.
func (l *logins) issue(g *grant) tokens {
	return l.open(&session{account: g.account, client: g.client.ID, scopes: g.scopes, grant: g})
}

func (l *logins) open(by *session) tokens {
	by.until = l.now().Add(accessLife)
	token := "ya29." + l.text(60)
	l.access[token] = by
	return tokens{AccessToken: token, ExpiresIn: int(accessLife / time.Second), Scope: strings.Join(by.scopes, " "), TokenType: "Bearer"}
}

// An oauthRefusal is an error as the token endpoint writes it.
type oauthRefusal struct {
	code        int
	Name        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// Error implements error.
func (r *oauthRefusal) Error() string { return r.Name + ": " + r.Description }

func refused(code int, name, description string) error {
	return &oauthRefusal{code, name, description}
}

var (
	errRevoked  = refused(400, "invalid_grant", "Token has been expired or revoked.")
	errBadGrant = refused(400, "invalid_grant", "Bad Request")
)

// token is the token endpoint.
func (l *logins) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		oauthAnswer(w, nil, refused(400, "invalid_request", "Bad Request"))
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t, err := l.exchange(r)
	oauthAnswer(w, t, err)
}

func oauthAnswer(w http.ResponseWriter, v any, err error) {
	if r, ok := err.(*oauthRefusal); ok { //nolint:errorlint // made here, never wrapped
		writeJSON(w, r.code, r)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

func (l *logins) exchange(r *http.Request) (tokens, error) {
	f := r.PostForm
	kind := f.Get("grant_type")
	if kind == "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		return l.bearer(f.Get("assertion"))
	}
	c, err := l.client(r)
	if err != nil {
		return tokens{}, err
	}
	switch kind {
	case "refresh_token":
		return l.refresh(c, f.Get("refresh_token"))
	case "authorization_code":
		return l.redeem(c, f)
	case "urn:ietf:params:oauth:grant-type:device_code":
		return l.poll(c, f.Get("device_code"))
	}
	return tokens{}, refused(400, "unsupported_grant_type", "Invalid grant_type: "+kind)
}

// client returns the client that a request comes from, by its form or its header.
func (l *logins) client(r *http.Request) (*Client, error) {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, pass, ok := r.BasicAuth(); ok {
		id, secret = unescaped(user), unescaped(pass)
	}
	switch c := l.clients[id]; {
	case id == "":
		return nil, refused(400, "invalid_request", "Could not determine client ID from request.")
	case c == nil:
		return nil, refused(401, "invalid_client", "The OAuth client was not found.")
	case c.Secret != secret:
		return nil, refused(401, "invalid_client", "Unauthorized")
	default:
		return c, nil
	}
}

func unescaped(text string) string {
	plain, err := url.QueryUnescape(text)
	if err != nil {
		return text
	}
	return plain
}

func (l *logins) refresh(c *Client, token string) (tokens, error) {
	g := l.grants[token]
	switch {
	case g == nil || g.client.ID != c.ID:
		return tokens{}, errBadGrant
	case g.revoked, g.client.Testing && l.now().Sub(g.since) >= testingLife:
		return tokens{}, errRevoked
	}
	return l.issue(g), nil
}

// revoke ends a grant by its refresh token or one of its access tokens.
func (l *logins) revoke(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		oauthAnswer(w, nil, refused(400, "invalid_request", "Bad Request"))
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	token := r.Form.Get("token")
	g := l.grants[token]
	if by := l.access[token]; by != nil {
		by.revoked = true
		g = by.grant
	}
	if g == nil || g.revoked {
		oauthAnswer(w, nil, refused(400, "invalid_token", "Token expired or revoked"))
		return
	}
	l.end(g)
	oauthAnswer(w, struct{}{}, nil)
}

// A pending is a code that waits for a person, or for the app to redeem it.
type pending struct {
	client    *Client
	scopes    []string
	until     time.Time
	redirect  string // of a browser
	challenge string
	userCode  string // of a device
	account   *account
	denied    bool
	polled    time.Time
}

// SignIn has an account be the one that is signed in in the browser and allows what it
// is asked for; "" for none.
func (l *logins) SignIn(email string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.signedIn = email
}

// consent is the page on which a person allows an app its scopes.
func (l *logins) consent(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := r.URL.Query()
	c, back := l.clients[q.Get("client_id")], q.Get("redirect_uri")
	at, err := url.Parse(back)
	switch {
	case c == nil:
		http.Error(w, "Error 401: invalid_client", http.StatusUnauthorized)
		return
	case c.Limited, err != nil, at.Scheme != "http" || at.Hostname() != "127.0.0.1" && at.Hostname() != "localhost":
		http.Error(w, "Error 400: redirect_uri_mismatch", http.StatusBadRequest)
		return
	case q.Get("response_type") != "code":
		http.Error(w, "Error 400: unsupported_response_type", http.StatusBadRequest)
		return
	}
	answer := at.Query()
	answer.Set("state", q.Get("state"))
	if a := l.accounts[l.signedIn]; a == nil {
		answer.Set("error", "access_denied")
	} else {
		code := "4/0" + l.text(40)
		l.codes[code] = &pending{client: c, scopes: strings.Fields(q.Get("scope")), until: l.now().Add(codeLife), redirect: back, challenge: q.Get("code_challenge"), account: a}
		answer.Set("code", code)
		answer.Set("scope", q.Get("scope"))
	}
	at.RawQuery = answer.Encode()
	http.Redirect(w, r, at.String(), http.StatusFound)
}

// redeem makes tokens of a code from the browser, once.
func (l *logins) redeem(c *Client, f url.Values) (tokens, error) {
	code := f.Get("code")
	p := l.codes[code]
	if p == nil || p.client.ID != c.ID || p.userCode != "" || !l.now().Before(p.until) {
		return tokens{}, refused(400, "invalid_grant", "Malformed auth code.")
	}
	if p.redirect != f.Get("redirect_uri") {
		return tokens{}, refused(400, "redirect_uri_mismatch", "Bad Request")
	}
	if p.challenge != "" {
		sum := sha256.Sum256([]byte(f.Get("code_verifier")))
		if base64.RawURLEncoding.EncodeToString(sum[:]) != p.challenge && f.Get("code_verifier") != p.challenge {
			return tokens{}, refused(400, "invalid_grant", "Invalid code verifier.")
		}
	}
	delete(l.codes, code)
	return l.granted(p), nil
}

// granted makes the first tokens of a grant.
func (l *logins) granted(p *pending) tokens {
	g := l.grant(p.account, p.client, slices.Clone(p.scopes))
	t := l.issue(g)
	t.RefreshToken = g.refresh
	if p.client.Testing {
		t.RefreshEnds = int(testingLife/time.Second) - 1
	}
	return t
}
