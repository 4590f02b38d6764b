// Package cloudflare is the part of Cloudflare's API v4 with which hostnames are published
// through a tunnel: zones, DNS records, tunnels with their configuration, and Access. What a
// tunnel's configuration has that Salvor does not know is kept byte for byte.
package cloudflare

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"salvor/internal/secret"
)

// PublicAPI is where Cloudflare's own API is.
const PublicAPI = "https://api.cloudflare.com/client/v4"

// accountLimit is how many requests one user's or account's tokens may make within
// limitWindow. Source: developers.cloudflare.com/fundamentals/api/reference/limits.
const (
	accountLimit = 1200
	limitWindow  = 5 * time.Minute
)

// Options say for which account a Client acts.
type Options struct {
	Base      string       // "" for PublicAPI
	Account   string       // the account's ID: 32 hexadecimal digits
	Token     secret.Value // an API token of the account or of a user
	Hosts     int          // how many hosts share the account's limit of requests; 0 for one
	Transport http.RoundTripper
}

// A Client acts for a token in one account. It is safe for concurrent use; all of its
// requests count against one share of the account's limit.
type Client struct {
	base    string
	account string
	token   secret.Value
	http    *http.Client
	share   *share
}

// New returns a client. A base without TLS is refused, except on loopback: the token would be
// readable on the way. Nothing is asked yet.
func New(o Options) (*Client, error) {
	if o.Base == "" {
		o.Base = PublicAPI
	}
	u, err := url.Parse(o.Base)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is not the address of an API", o.Base)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%s: use https: the token could be read on the way", o.Base)
	}
	if !isID(o.Account) {
		return nil, fmt.Errorf("%q is not an account's ID: it has 32 hexadecimal digits", o.Account)
	}
	if o.Token.IsZero() || strings.ContainsAny(string(o.Token.Reveal()), "\r\n\x00") {
		return nil, errors.New("the token for Cloudflare is empty or has several lines")
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		base:    strings.TrimSuffix(o.Base, "/"),
		account: o.Account,
		token:   o.Token,
		http:    &http.Client{Transport: o.Transport, CheckRedirect: stay},
		share:   newShare(accountLimit/max(o.Hosts, 1), limitWindow),
	}, nil
}

func isID(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}
