package cloudflaretest

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// A Visitor asks for a hostname. The zero value has no identity and comes from an unknown place.
type Visitor struct {
	Email    string // that it logged in with, "" for none
	Provider string // ID of the identity provider that says so
	Token    string // ID of the service token that it has, "" for none
	Address  netip.Addr
	Country  string // two letters
}

func (v Visitor) known() bool { return v.Email != "" }

// A Verdict is what Access says to a visitor.
type Verdict int

// The verdicts.
const (
	Open    Verdict = iota // no application is responsible, or it lets everyone pass
	Allowed                // for who the visitor is
	Login                  // who it is has to be known first
	Forbidden
)

// Passes reports whether the visitor gets to the service.
func (v Verdict) Passes() bool { return v == Open || v == Allowed }

// verdict is the application's: its policies for bypass and service tokens come first, then the
// others, in their order; what none lets pass is refused. Source:
// developers.cloudflare.com/cloudflare-one/policies/access, "Order of execution".
func (a *app) verdict(v Visitor) Verdict {
	if a == nil {
		return Open
	}
	for _, p := range a.is.Policies {
		switch {
		case p.Decision == "bypass" && p.fits(Visitor{Address: v.Address, Country: v.Country}): // who it is does not count
			return Open
		case p.Decision == "non_identity" && v.Token != "" && p.fits(v):
			return Allowed
		}
	}
	for _, p := range a.is.Policies {
		switch {
		case p.Decision == "deny" && p.fits(v):
			return Forbidden
		case p.Decision == "allow" && v.known() && p.fits(v):
			return Allowed
		}
	}
	if v.known() || v.Token != "" {
		return Forbidden
	}
	return Login
}

// fits reports whether the policy is about the visitor: one of include, all of require, none
// of exclude.
func (p policy) fits(v Visitor) bool {
	is := func(selector object) bool { return v.is(selector) }
	return slices.ContainsFunc(p.Include, is) && !slices.ContainsFunc(p.Exclude, is) &&
		!slices.ContainsFunc(p.Require, func(selector object) bool { return !is(selector) })
}

// is reports whether a selector is about the visitor. One that this package does not know is
// about no one.
func (v Visitor) is(selector object) bool {
	for kind, raw := range selector {
		var by struct {
			Email    string `json:"email"`
			Domain   string `json:"domain"`
			IP       string `json:"ip"`
			Country  string `json:"country_code"`
			Provider string `json:"id"`
			Token    string `json:"token_id"`
		}
		if json.Unmarshal(raw, &by) != nil {
			return false
		}
		switch kind {
		case "everyone":
			return true
		case "email":
			return v.known() && strings.EqualFold(v.Email, by.Email)
		case "email_domain":
			return v.known() && strings.HasSuffix(strings.ToLower(v.Email), "@"+strings.ToLower(by.Domain))
		case "login_method":
			return v.known() && v.Provider == by.Provider
		case "ip":
			return within(v.Address, by.IP)
		case "geo":
			return v.Country != "" && v.Country == by.Country
		case "service_token":
			return v.Token != "" && v.Token == by.Token
		case "any_valid_service_token":
			return v.Token != ""
		}
	}
	return false
}

// within reports whether an address is in a range, which may be a single address.
func within(a netip.Addr, of string) bool {
	if one, err := netip.ParseAddr(of); err == nil {
		return a == one
	}
	prefix, err := netip.ParsePrefix(of)
	return err == nil && prefix.Contains(a)
}

// The headers with which a program shows its service token.
const (
	ClientIDHeader     = "Cf-Access-Client-Id"
	ClientSecretHeader = "Cf-Access-Client-Secret"
)

// ServiceHeader returns the headers for a service token that AddNamed made.
func ServiceHeader(id string) http.Header {
	return http.Header{ClientIDHeader: {id + ".access"}, ClientSecretHeader: {"secret of " + id}}
}

// ServiceToken returns the ID of the service token that a request shows, "" for none.
func (e Edge) ServiceToken(shown http.Header) string {
	e.api.mu.Lock()
	defer e.api.mu.Unlock()
	id, _ := strings.CutSuffix(shown.Get(ClientIDHeader), ".access")
	if !e.api.known("service_tokens", id) || shown.Get(ClientSecretHeader) != ServiceHeader(id).Get(ClientSecretHeader) {
		return ""
	}
	return id
}
