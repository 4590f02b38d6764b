package route

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Rule is one entry of a tunnel's ingress list, as cloudflared has it: the first that
// matches a request serves it.
type Rule struct {
	Hostname string
	Path     string
	Service  string
	Origin   Origin
	Raw      json.RawMessage // of a rule that is not Salvor's: all that Cloudflare has of it
}

// written is a rule's form on the wire.
type written struct {
	Hostname string `json:"hostname,omitempty"`
	Path     string `json:"path,omitempty"`
	Service  string `json:"service"`
	Origin   Origin `json:"originRequest,omitzero"`
}

// MarshalJSON writes a rule as Cloudflare takes it; one that is not Salvor's as it was.
func (r Rule) MarshalJSON() ([]byte, error) {
	if r.Raw != nil {
		return r.Raw, nil
	}
	return json.Marshal(written{r.Hostname, r.Path, r.Service, r.Origin})
}

// UnmarshalJSON reads a rule and keeps all of it.
func (r *Rule) UnmarshalJSON(content []byte) error {
	var w struct {
		Hostname, Path, Service string
	}
	if err := json.Unmarshal(content, &w); err != nil {
		return err
	}
	*r = Rule{Hostname: w.Hostname, Path: w.Path, Service: w.Service, Raw: slices.Clone(content)}
	return nil
}

// A Refused route has no rule.
type Refused struct {
	Route Route
	Why   string
}

// Rules returns the list that a tunnel gets: the routes' rules, and foreign ones, which stay
// as they are and in their order. An exact hostname comes before a wildcard, a longer path
// before a shorter one, and one catch-all is the last: the foreign one, else status 404.
// Otherwise routes stay in their order. A route whose rule cloudflared would refuse is left
// out; the list passes Check if the foreign rules do. The list can be made again of the
// same routes and is the same.
func Rules(routes []Route, foreign []Rule) ([]Rule, []Refused) {
	var rules []Rule
	var refused []Refused
	for _, r := range routes {
		rule := Rule{Hostname: r.Hostname, Path: r.Path, Service: r.Service, Origin: r.Origin}
		if r.Closed != "" {
			if !fallsThrough(r, routes, foreign) {
				continue
			}
			rule.Service, rule.Origin = unavailable, Origin{}
		}
		if err := rule.check(); err != nil {
			refused = append(refused, Refused{r, err.Error()})
			continue
		}
		rules = append(rules, rule)
	}
	return merged(ordered(rules), foreign), refused
}

// fallsThrough reports whether another rule would serve what a closed route protects.
func fallsThrough(closed Route, routes []Route, foreign []Rule) bool {
	return slices.ContainsFunc(routes, func(r Route) bool {
		return r.Closed == "" && covers(r.Hostname, closed.Hostname)
	}) || slices.ContainsFunc(foreign, func(r Rule) bool {
		return covers(r.Hostname, closed.Hostname) && !r.catchesAll() || r.catchesAll() && !strings.HasPrefix(r.Service, statusPrefix)
	})
}

// ordered puts exact hostnames before wildcards and longer wildcards before shorter ones.
// The rules of one hostname change places among themselves: longer paths first.
func ordered(rules []Rule) []Rule {
	all := slices.Clone(rules)
	slices.SortStableFunc(all, func(a, b Rule) int {
		return cmp.Compare(width(a.Hostname), width(b.Hostname))
	})
	places := map[string][]int{}
	for i, r := range all {
		places[r.Hostname] = append(places[r.Hostname], i)
	}
	for _, at := range places {
		same := make([]Rule, len(at))
		for i, place := range at {
			same[i] = all[place]
		}
		slices.SortStableFunc(same, func(a, b Rule) int { return len(b.Path) - len(a.Path) })
		for i, place := range at {
			all[place] = same[i]
		}
	}
	return all
}

// width is smaller for a hostname that fewer ones match.
func width(hostname string) int {
	if isWildcard(hostname) {
		return maxName + 1 - len(hostname)
	}
	return 0
}

// merged puts ordered rules among foreign ones: exact hostnames first, and each wildcard
// before the first foreign rule that would take all its requests.
func merged(own, foreign []Rule) []Rule {
	last := Rule{Service: notFound}
	rest := slices.Clone(foreign)
	if n := len(rest); n > 0 && rest[n-1].catchesAll() {
		last, rest = rest[n-1], rest[:n-1]
	}
	at := slices.IndexFunc(own, func(r Rule) bool { return isWildcard(r.Hostname) })
	if at < 0 {
		at = len(own)
	}
	for _, r := range own[at:] {
		place := slices.IndexFunc(rest, func(f Rule) bool { return f.Raw != nil && f.Path == "" && covers(f.Hostname, r.Hostname) })
		if place < 0 {
			place = len(rest)
		}
		rest = slices.Insert(rest, place, r)
	}
	return slices.Concat(own[:at], rest, []Rule{last})
}

func (r Rule) catchesAll() bool { return (r.Hostname == "" || r.Hostname == "*") && r.Path == "" }

// Check returns why cloudflared would refuse a list and keep the one before: as its
// ingress.validateIngress does (https://github.com/cloudflare/cloudflared/blob/master/ingress/ingress.go).
func Check(rules []Rule) error {
	if len(rules) == 0 {
		return errors.New("the list is empty: it needs a last rule that catches all requests")
	}
	for i, r := range rules {
		if err := r.valid(); err != nil {
			return fmt.Errorf("rule %d: %w", i+1, err)
		}
		switch last := i == len(rules)-1; {
		case last && !r.catchesAll():
			return fmt.Errorf("rule %d: the last rule has to catch all requests: it can't have a hostname or path", i+1)
		case !last && r.catchesAll():
			return fmt.Errorf("rule %d: only the last rule can catch all requests", i+1)
		}
	}
	return nil
}

// check is what is asked of Salvor's own rules: they are valid, and not for all requests.
func (r Rule) check() error {
	if r.Hostname == "" || r.Hostname == "*" {
		return errors.New("it has no hostname")
	}
	return r.valid()
}

// valid returns why cloudflared refuses a rule wherever it stands.
func (r Rule) valid() error {
	if _, _, err := net.SplitHostPort(r.Hostname); err == nil {
		return fmt.Errorf("the hostname %s has a port", r.Hostname)
	}
	if strings.LastIndexByte(r.Hostname, '*') > 0 {
		return fmt.Errorf("the hostname %s has a * that is not its first character", r.Hostname)
	}
	if _, err := regexp.Compile(r.Path); err != nil {
		return fmt.Errorf("the path %q is not a regular expression: %s", r.Path, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return serves(r.Service)
}

// serves returns why cloudflared refuses an origin.
func serves(service string) error {
	if status, is := strings.CutPrefix(service, statusPrefix); is {
		if n, err := strconv.Atoi(status); err != nil || n < 100 || n > 999 {
			return fmt.Errorf("the service %q is not a status", service)
		}
		return nil
	}
	if slices.Contains(builtIn, service) || slices.ContainsFunc(sockets, func(s string) bool { return strings.HasPrefix(service, s) }) {
		return nil
	}
	u, err := url.Parse(service)
	switch {
	case err != nil:
		return fmt.Errorf("the service %q is not an address", service)
	case u.Scheme == "" || u.Hostname() == "":
		return fmt.Errorf("the service %q has no protocol or no host", service)
	case u.Path != "":
		return fmt.Errorf("the service %q has a path", service)
	}
	return nil
}
