package route

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// An AccessGroup says who may reach routes, as fleet.yaml has it.
type AccessGroup struct {
	Name      string
	Emails    []string
	Domains   []string // of e-mail addresses
	Providers []string // by name: people have to log in with one of them
	IPs       []string // in CIDR form: from one of them
	Countries []string // from one of them
	Tokens    []string // service tokens, by name
	Bypass    bool     // without a login: everyone, or everyone from IPs and Countries
	Session   time.Duration
	Launcher  bool
}

// A Group is an access group as policies.
type Group struct {
	Policies  []Policy
	Session   string
	Launcher  bool
	Redirect  bool
	Providers []string
}

// Groups are access groups by name.
type Groups map[string]Group

// The groups that DockFlare has from the start. PublicGroup is always there.
const (
	PublicGroup = "public-default-bypass"
	LoginGroup  = "authenticated-default"
)

// mostPolicies is how many policies one group may become.
const mostPolicies = 50

// Group returns the group as policies. One policy can require one provider, one range
// and one country, so each combination is a policy of its own.
func (g AccessGroup) Group() (Group, error) {
	people, tokens := g.people(), matches(g.Tokens, func(s string) Match { return Match{Token: s} })
	switch {
	case g.Bypass && len(people)+len(tokens)+len(g.Providers) > 0:
		return Group{}, fmt.Errorf("bypass asks no one who they are: it goes with ips and countries alone")
	case g.Bypass && slices.ContainsFunc(g.IPs, isWide):
		return Group{}, fmt.Errorf("ips has a range that is a great part of the internet, which bypass lets in without a login: name smaller ones; without ips and countries, bypass is for everyone")
	case len(g.Providers) > 0 && len(people) == 0:
		return Group{}, fmt.Errorf("providers alone would let everyone in who has an account there: add emails or domains")
	case !g.Bypass && len(people)+len(tokens) == 0:
		return Group{}, fmt.Errorf("it lets no one in: add emails, domains, service_tokens or bypass")
	}
	places := combined(matches(g.IPs, func(s string) Match { return Match{IP: s} }), matches(g.Countries, func(s string) Match { return Match{Country: s} }))
	var all []Policy
	if g.Bypass {
		all = bypassing(places)
	}
	if len(people) > 0 {
		for _, require := range product(matches(g.Providers, func(s string) Match { return Match{Provider: s} }), places) {
			all = append(all, Policy{Decision: Allow, Include: people, Require: require})
		}
	}
	if len(tokens) > 0 {
		for _, require := range places {
			all = append(all, Policy{Decision: NonIdentity, Include: tokens, Require: require})
		}
	}
	if len(all) > mostPolicies {
		return Group{}, fmt.Errorf("its providers, ips and countries make %d policies, and %d are the most: name fewer of them", len(all), mostPolicies)
	}
	name(all, g.Name)
	return Group{Policies: all, Session: session(g.Session), Launcher: g.Launcher}, nil
}

// isWide reports whether a range is not one of places that a person knows: no network that was given
// to someone is as large.
func isWide(text string) bool {
	p, err := netip.ParsePrefix(text)
	return err == nil && (p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 16)
}

func (g AccessGroup) people() []Match {
	return slices.Concat(matches(g.Emails, func(s string) Match { return Match{Email: s} }), matches(g.Domains, func(s string) Match { return Match{Domain: s} }))
}

// public is the group PublicGroup.
func public() Group {
	return Group{Policies: []Policy{{Name: PublicGroup, Decision: Bypass, Include: []Match{{Everyone: true}}}}, Session: DefaultSession}
}

func matches(values []string, of func(string) Match) []Match {
	all := make([]Match, len(values))
	for i, v := range values {
		all[i] = of(v)
	}
	return all
}

// combined returns each pair of one of a and one of b. An empty list asks for nothing.
func combined(a, b []Match) [][]Match {
	return product(a, product(b, [][]Match{nil}))
}

// product returns each of a in front of each of rest; rest where a is empty.
func product(a []Match, rest [][]Match) [][]Match {
	if len(a) == 0 {
		return rest
	}
	var all [][]Match
	for _, one := range a {
		for _, r := range rest {
			all = append(all, append([]Match{one}, r...))
		}
	}
	return all
}

// bypassing lets in who is at one of these places. Each is an alternative, so the first
// thing that is required of it is what the policy is about.
func bypassing(places [][]Match) []Policy {
	var all []Policy
	for _, place := range places {
		if len(place) == 0 {
			place = []Match{{Everyone: true}}
		}
		all = append(all, Policy{Decision: Bypass, Include: place[:1], Require: place[1:]})
	}
	return all
}

// name gives policies their group's name, numbered where there are several.
func name(all []Policy, group string) {
	for i := range all {
		all[i].Name = group
		if len(all) > 1 {
			all[i].Name = fmt.Sprintf("%s/%d", group, i+1)
		}
	}
}

// session writes a duration as Cloudflare does: "24h", "1h30m".
func session(d time.Duration) string {
	if d == 0 {
		return DefaultSession
	}
	h, m, s := d/time.Hour, d%time.Hour/time.Minute, d%time.Minute/time.Second
	text := ""
	for _, part := range []struct {
		n    time.Duration
		unit string
	}{{h, "h"}, {m, "m"}, {s, "s"}} {
		if part.n > 0 {
			text += fmt.Sprint(int64(part.n)) + part.unit
		}
	}
	return text
}
