package drivetest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"
)

const (
	tokenAt  = "https://oauth2.googleapis.com/token"
	deviceAt = "https://oauth2.googleapis.com/device/code"
	revokeAt = "https://oauth2.googleapis.com/revoke"
)

// is checks an answer of the token endpoint: its status and its error.
func (a answer) is(code int, name string) tokens {
	a.t.Helper()
	var got struct {
		tokens
		Error string `json:"error"`
	}
	a.into(&got)
	if a.Code != code || got.Error != name {
		a.t.Errorf("%d %q, want %d %q: %s", a.Code, got.Error, code, name, a.Body)
	}
	return got.tokens
}

func (w *world) refreshed(token string, pairs ...string) answer {
	w.t.Helper()
	return w.form(tokenAt, append([]string{"grant_type", "refresh_token", "refresh_token", token, "client_id", "app", "client_secret", "s3cret"}, pairs...)...)
}

// granted returns the refresh token of a new grant.
func (w *world) grantOf(client string) string {
	w.t.Helper()
	var token struct {
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(w.Grant(olga, client, ScopeDrive)), &token); err != nil {
		w.t.Fatal(err)
	}
	return token.Refresh
}

func TestRefresh(t *testing.T) {
	w := newWorld(t, Options{})
	token := w.grantOf("app")
	access := w.refreshed(token).is(200, "").AccessToken
	w.do(access, "GET", "/drive/v3/files", nil, "").wants(200, "")
	w.clock.at = w.clock.at.Add(time.Hour)
	w.do(access, "GET", "/drive/v3/files", nil, "").wants(401, "authError")
	w.refreshed(token, "client_secret", "wrong").is(401, "invalid_client")
	w.refreshed(token, "client_id", "none").is(401, "invalid_client")
	w.refreshed(token, "client_id", "other").is(400, "invalid_grant")
	w.refreshed(token, "grant_type", "password").is(400, "unsupported_grant_type")
	access = w.refreshed(token).is(200, "").AccessToken
	w.form(revokeAt, "token", token).is(200, "")
	w.form(revokeAt, "token", token).is(400, "invalid_token")
	w.refreshed(token).is(400, "invalid_grant")
	w.do(access, "GET", "/drive/v3/files", nil, "").wants(401, "authError")
	token = w.grantOf("app")
	w.RevokeAll(olga)
	w.refreshed(token).is(400, "invalid_grant")
}

func TestAnAppInTesting(t *testing.T) {
	w := newWorld(t, Options{})
	w.AddClient(Client{ID: "app", Secret: "s3cret", Testing: true})
	token := w.grantOf("app")
	w.clock.at = w.clock.at.Add(testingLife - time.Second)
	w.refreshed(token).is(200, "")
	w.clock.at = w.clock.at.Add(time.Second)
	w.refreshed(token).is(400, "invalid_grant")
}

func TestDevice(t *testing.T) {
	w := newWorld(t, Options{})
	w.AddClient(Client{ID: "tv", Secret: "s3cret", Limited: true})
	w.form(deviceAt, "client_id", "app", "scope", ScopeFile).is(401, "invalid_client")
	w.form(deviceAt, "client_id", "tv", "scope", ScopeDrive).is(400, "invalid_scope")
	begin := func() deviceAnswer {
		var d deviceAnswer
		w.form(deviceAt, "client_id", "tv", "scope", ScopeFile).wants(200, "").into(&d)
		return d
	}
	poll := func(d deviceAnswer) answer {
		return w.form(tokenAt, "grant_type", "urn:ietf:params:oauth:grant-type:device_code", "device_code", d.DeviceCode, "client_id", "tv", "client_secret", "s3cret")
	}
	d := begin()
	poll(d).is(428, "authorization_pending")
	poll(d).is(403, "slow_down")
	w.clock.at = w.clock.at.Add(devicePace)
	poll(d).is(428, "authorization_pending")
	if !w.Approve(d.UserCode, olga) || w.Approve("none", olga) {
		t.Error("the code that exists is not the one that is accepted")
	}
	got := poll(d).is(200, "")
	w.refreshed(got.RefreshToken, "client_id", "tv").is(200, "")
	w.put(got.AccessToken, `{"name":"f"}`, "x").wants(200, "")
	poll(d).is(400, "invalid_grant")
	d = begin()
	w.Deny(d.UserCode)
	poll(d).is(403, "access_denied")
	d = begin()
	w.clock.at = w.clock.at.Add(deviceLife)
	poll(d).is(400, "expired_token")
}

func TestBrowser(t *testing.T) {
	w := newWorld(t, Options{})
	const back, verifier = "http://127.0.0.1:53682/", "a-verifier-of-some-length"
	sum := sha256.Sum256([]byte(verifier))
	ask := func(client, redirect string) answer {
		q := url.Values{
			"client_id": {client}, "redirect_uri": {redirect}, "response_type": {"code"}, "scope": {ScopeDrive}, "state": {"st"},
			"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		}
		return w.do("", "GET", "https://accounts.google.com/o/oauth2/auth?"+q.Encode(), nil, "")
	}
	redeem := func(code, verifier string) answer {
		return w.form(tokenAt, "grant_type", "authorization_code", "code", code, "redirect_uri", back, "code_verifier", verifier, "client_id", "app", "client_secret", "s3cret")
	}
	answered := func(a answer) url.Values {
		at, err := url.Parse(a.Header().Get("Location"))
		if a.Code != http.StatusFound || err != nil || at.Query().Get("state") != "st" {
			t.Fatalf("%d %v %v", a.Code, at, err)
		}
		return at.Query()
	}
	if got := answered(ask("app", back)).Get("error"); got != "access_denied" {
		t.Errorf("without an account it is %q", got)
	}
	w.SignIn(olga)
	if ask("none", back).Code != 401 || ask("app", "https://evil.example/").Code != 400 {
		t.Error("a wrong client or address is redirected to")
	}
	code := answered(ask("app", back)).Get("code")
	redeem(code, "wrong").is(400, "invalid_grant")
	got := redeem(code, verifier).is(200, "")
	w.refreshed(got.RefreshToken).is(200, "")
	redeem(code, verifier).is(400, "invalid_grant")
	code = answered(ask("app", back)).Get("code")
	w.clock.at = w.clock.at.Add(codeLife)
	redeem(code, verifier).is(400, "invalid_grant")
}

func TestServiceAccount(t *testing.T) {
	w := newWorld(t, Options{})
	free, err := w.Service("robot@home.iam.gserviceaccount.com")
	if err != nil {
		t.Fatal(err)
	}
	acting, err := w.Service("actor@home.iam.gserviceaccount.com", ScopeDrive)
	if err != nil {
		t.Fatal(err)
	}
	bearer := func(a *ServiceAccount, change func(*jwtHeader, *jwtClaims)) answer {
		h := jwtHeader{"RS256", a.keyID}
		c := jwtClaims{Issuer: a.Email, Scope: ScopeDrive, Audience: tokenURL, Issued: w.clock.at.Unix(), Expires: w.clock.at.Add(time.Hour).Unix()}
		change(&h, &c)
		return w.form(tokenAt, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", signedJWT(t, a.key, h, c))
	}
	own := bearer(free, func(*jwtHeader, *jwtClaims) {}).is(200, "").AccessToken
	w.put(own, `{"name":"f"}`, "x").wants(403, "storageQuotaExceeded")
	w.do(own, "POST", "/drive/v3/files", nil, `{"name":"d","mimeType":"`+folderType+`"}`).wants(200, "")
	dir := w.MakeFolder(w.root, "shared with the robot")
	w.Share(dir, free.Email, Writer)
	w.put(own, `{"name":"f","parents":["`+dir+`"]}`, "x").wants(403, "storageQuotaExceeded")
	shared := w.SharedDrive("d", map[string]Role{free.Email: Writer})
	w.put(own, `{"name":"f","parents":["`+shared+`"]}`, "x").wants(200, "")

	as := bearer(acting, func(_ *jwtHeader, c *jwtClaims) { c.Subject = olga }).is(200, "").AccessToken
	w.put(as, `{"name":"f"}`, "x").wants(200, "")
	bearer(free, func(_ *jwtHeader, c *jwtClaims) { c.Subject = olga }).is(401, "unauthorized_client")
	for name, change := range map[string]func(*jwtHeader, *jwtClaims){
		"an hour early":     func(_ *jwtHeader, c *jwtClaims) { c.Issued += 3600; c.Expires += 3600 },
		"an hour late":      func(_ *jwtHeader, c *jwtClaims) { c.Issued -= 7200; c.Expires -= 7200 },
		"for too long":      func(_ *jwtHeader, c *jwtClaims) { c.Expires += 3600 },
		"for another":       func(_ *jwtHeader, c *jwtClaims) { c.Audience = "https://example.com" },
		"another key":       func(_ *jwtHeader, c *jwtClaims) { c.Issuer = acting.Email },
		"another algorithm": func(h *jwtHeader, _ *jwtClaims) { h.Algorithm = "none" },
		"an unknown issuer": func(_ *jwtHeader, c *jwtClaims) { c.Issuer = "none" },
		"for a stranger":    func(_ *jwtHeader, c *jwtClaims) { c.Subject, c.Issuer = "", "x" },
	} {
		t.Run(name, func(t *testing.T) {
			got := bearer(free, change)
			got.t = t
			got.is(400, "invalid_grant")
		})
	}
	bearer(acting, func(_ *jwtHeader, c *jwtClaims) { c.Subject = "none@example.com" }).is(400, "invalid_grant")
	bearer(free, func(_ *jwtHeader, c *jwtClaims) { c.Scope = "" }).is(400, "invalid_scope")
}

func signedJWT(t *testing.T, key *rsa.PrivateKey, header jwtHeader, claims jwtClaims) string {
	t.Helper()
	part := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	signed := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}
