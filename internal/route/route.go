// Package route is the model of public hostnames: what a stack's labels, x-salvor and
// fleet.yaml say of them, and the rules that a tunnel's connector gets of it. All of it
// is pure: nothing is looked up, and what only Cloudflare knows (zones, the ids of
// providers and tokens) stays a name.
package route

import (
	"encoding/json"
	"slices"
	"time"
)

// A Route is a public hostname, or one path of it, and where its requests go. Its JSON
// is part of what hosts get, see docs/adr/0050-routes.md.
type Route struct {
	Hostname string        `json:"hostname"`       // ASCII, small letters: "app.example.com", "*.apps.example.com"
	Path     string        `json:"path,omitempty"` // a Go regexp that cloudflared looks for anywhere in the path; "" for all paths
	Service  string        `json:"service"`        // the origin as cloudflared has it: "http://app:80"
	Origin   Origin        `json:"origin,omitzero"`
	Zone     string        `json:"zone,omitempty"`   // that was asked for; "" for the longest of the account's that contains the hostname
	Access   *Access       `json:"access,omitempty"` // nil: everyone reaches it
	Grace    time.Duration `json:"grace,omitempty"`  // how long it stays without a running container
	Of       string        `json:"of,omitempty"`     // the service of its stack whose containers it leads to; "" for what is not a container

	// Closed says why the route is not published although it protects something: its
	// requests must not fall through to another rule. "" for a route that is published.
	Closed string `json:"closed,omitempty"`
	// Claimants are the owners that declare this hostname, sorted; empty where only one
	// does. Whose mark the hostname's record has keeps it; without a record it is the
	// first of them.
	Claimants []string `json:"claimants,omitempty"`
	Position  string   `json:"position,omitempty"` // where it is declared, "stacks/notes/compose.yaml:12:5", for messages
	Entry     string   `json:"entry,omitempty"`    // of labels: the index of it, "" for the base
}

// Key is what a route is known by among those of its owner.
type Key struct{ Hostname, Path string }

// Key returns the route's key.
func (r Route) Key() Key { return Key{r.Hostname, r.Path} }

// String returns the key as messages have it: "app.example.com/api".
func (k Key) String() string { return k.Hostname + k.Path }

// Origin is how a connector talks to an HTTP origin. The names are those of cloudflared's
// originRequest (https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/configure-tunnels/origin-configuration/).
type Origin struct {
	NoTLSVerify            bool   `json:"noTLSVerify,omitempty"`
	ServerName             string `json:"originServerName,omitempty"`
	HostHeader             string `json:"httpHostHeader,omitempty"`
	HTTP2                  bool   `json:"http2Origin,omitempty"`
	DisableChunkedEncoding bool   `json:"disableChunkedEncoding,omitempty"`
	MatchSNIToHost         bool   `json:"matchSNItoHost,omitempty"`
}

// Access is the application that protects a route.
type Access struct {
	Groups    []string `json:"groups,omitempty"`    // by name, whose policies these are
	Name      string   `json:"name,omitempty"`      // "" for the usual one
	Session   string   `json:"session,omitempty"`   // how long a login counts, as Cloudflare writes it: "24h"
	Launcher  bool     `json:"launcher,omitempty"`  // it shows in the App Launcher
	Redirect  bool     `json:"redirect,omitempty"`  // the only provider is not offered but taken
	Providers []string `json:"providers,omitempty"` // by name or id; none for all of the account's
	Policies  []Policy `json:"policies,omitempty"`
	// OfZone has no application made: one for all of the zone, "*.ZONE", is there and
	// protects the hostname. Without it the route is not published.
	OfZone bool `json:"of_zone,omitempty"`
}

// Protects reports whether not everyone gets in.
func (a *Access) Protects() bool {
	if a == nil {
		return false
	}
	return !slices.ContainsFunc(a.Policies, Policy.opens)
}

// DefaultSession is how long a login counts where nothing else is said.
const DefaultSession = "24h"

// A Decision is what a policy does with those it is about.
type Decision string

// The decisions that Salvor makes policies of.
const (
	Allow       Decision = "allow"
	Bypass      Decision = "bypass"
	NonIdentity Decision = "non_identity" // for service tokens
)

// A Policy lets people, addresses or programs in. Include, Require and Exclude are
// Cloudflare's: one of the first, all of the second, none of the third.
type Policy struct {
	Name     string          `json:"name,omitempty"`
	Decision Decision        `json:"decision,omitempty"`
	Include  []Match         `json:"include,omitempty"`
	Require  []Match         `json:"require,omitempty"`
	Exclude  []Match         `json:"exclude,omitempty"`
	Inline   json.RawMessage `json:"inline,omitempty"` // a policy in Cloudflare's own form, sent as it is; then nothing else is set
}

// opens reports whether the policy lets everyone in without a login.
func (p Policy) opens() bool {
	if p.Inline != nil {
		return opensInline(p.Inline)
	}
	return p.Decision == Bypass && len(p.Require)+len(p.Exclude) == 0 && slices.ContainsFunc(p.Include, func(m Match) bool { return m.Everyone })
}

func opensInline(content json.RawMessage) bool {
	var p struct {
		Decision         Decision
		Include          []map[string]json.RawMessage
		Require, Exclude []json.RawMessage
	}
	everyone := func(selector map[string]json.RawMessage) bool { return selector["everyone"] != nil }
	return json.Unmarshal(content, &p) == nil && p.Decision == Bypass && len(p.Require)+len(p.Exclude) == 0 && slices.ContainsFunc(p.Include, everyone)
}

// A Match is one thing that a policy looks at; one field is set.
type Match struct {
	Everyone bool   `json:"everyone,omitempty"`
	Email    string `json:"email,omitempty"`
	Domain   string `json:"domain,omitempty"`   // of e-mail addresses
	Provider string `json:"provider,omitempty"` // by name or id
	IP       string `json:"ip,omitempty"`       // in CIDR form
	Country  string `json:"country,omitempty"`  // ISO 3166-1, two capitals
	Token    string `json:"token,omitempty"`    // a service token, by name or id
}
