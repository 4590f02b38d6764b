package edge

import (
	"crypto/rand"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"

	"salvor/internal/cloudflare/cloudflaretest"
)

// The headers with which a visitor of the lab says where it comes from.
const (
	AddressHeader = "Lab-Visitor-Address"
	CountryHeader = "Lab-Visitor-Country"
)

const (
	assertionHeader = "Cf-Access-Jwt-Assertion"
	emailHeader     = "Cf-Access-Authenticated-User-Email"
	sessionCookie   = "CF_Authorization"
)

type identity struct{ email, provider string }

// LogIn logs a person in with an identity provider, by its ID, and returns the headers that
// show it: the cookie that Access sets.
func (e *Edge) LogIn(email, provider string) http.Header {
	session := rand.Text()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.identities[session] = identity{email, provider}
	return http.Header{"Cookie": {sessionCookie + "=" + session}}
}

// visitor says who sends a request. session is what shows that, "" for nothing.
func (e *Edge) visitor(r *http.Request) (v cloudflaretest.Visitor, session string) {
	v.Token = e.api.ServiceToken(r.Header)
	v.Country = r.Header.Get(CountryHeader)
	from := r.Header.Get(AddressHeader)
	if from == "" {
		from, _, _ = net.SplitHostPort(r.RemoteAddr)
	}
	v.Address, _ = netip.ParseAddr(from) // no address is within no range
	session = r.Header.Get(assertionHeader)
	if c, err := r.Cookie(sessionCookie); err == nil {
		session = c.Value
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	who, known := e.identities[session]
	if !known {
		return v, ""
	}
	v.Email, v.Provider = who.email, who.provider
	return v, session
}

// outward sets the headers that Cloudflare sets, and takes away what visitors can't say of
// themselves.
func outward(p *httputil.ProxyRequest, v cloudflaretest.Visitor, session string, e cloudflaretest.Entry) {
	h := p.Out.Header
	for _, name := range []string{assertionHeader, emailHeader, cloudflaretest.ClientIDHeader, cloudflaretest.ClientSecretHeader, AddressHeader, CountryHeader} {
		h.Del(name)
	}
	proto := "http"
	if p.In.TLS != nil {
		proto = "https"
	}
	h.Set("X-Forwarded-Proto", proto)
	h.Set("X-Forwarded-For", v.Address.String())
	h.Set("Cf-Connecting-Ip", v.Address.String())
	if e.Audience != "" && session != "" {
		h.Set(assertionHeader, session)
		h.Set(emailHeader, v.Email)
	}
}

func hostOf(r *http.Request) string {
	host, _, _ := strings.Cut(r.Host, ":")
	return strings.ToLower(host)
}
