package route

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/idna"

	"salvor/internal/finding"
)

const wildcard = "*."

// Hostname returns a public name as Cloudflare has it: small letters, and other scripts in
// ASCII (IDNA). One leading "*." is allowed.
func Hostname(text string) (string, error) {
	switch {
	case text == "":
		return "", errors.New("the hostname is empty")
	case text != strings.TrimSpace(text):
		return "", fmt.Errorf("%q has spaces around it", text)
	case strings.Contains(text, "://"):
		return "", fmt.Errorf("%q is an address: write only the name in it", text)
	case strings.ContainsRune(text, '/'):
		return "", fmt.Errorf("%q has a path, which has a label of its own", text)
	case strings.ContainsRune(text, ':'):
		return "", fmt.Errorf("%q has a port: public hostnames have none", text)
	}
	rest, isWildcard := strings.CutPrefix(text, wildcard)
	if strings.ContainsRune(rest, '*') {
		return "", fmt.Errorf("%q: * can only be all of the first part, as in *.example.com", text)
	}
	ascii, err := idna.Lookup.ToASCII(rest)
	if err == nil {
		err = checkName(ascii)
	}
	if err != nil {
		return "", fmt.Errorf("%q is not a hostname: its parts have letters, digits and -, and at most 63 of them", text)
	}
	if !strings.Contains(ascii, ".") {
		return "", fmt.Errorf("%q is not in a zone: write it like app.example.com", text)
	}
	if isWildcard {
		ascii = wildcard + ascii
	}
	if len(ascii) > maxName {
		return "", fmt.Errorf("%q is longer than %d characters", text, maxName)
	}
	return ascii, nil
}

// Limits of RFC 1035, section 2.3.4.
const (
	maxName  = 253
	maxLabel = 63
)

func checkName(ascii string) error {
	for _, label := range strings.Split(ascii, ".") {
		if label == "" || len(label) > maxLabel || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return errors.New("not a name")
		}
		for _, c := range label {
			if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return errors.New("not a name")
			}
		}
	}
	return nil
}

// isWildcard reports whether a hostname stands for all below a name.
func isWildcard(hostname string) bool { return strings.HasPrefix(hostname, wildcard) }

// covers reports whether a rule for hostname a is asked for each request to hostname b.
// A rule without a hostname is asked for all.
func covers(a, b string) bool {
	switch {
	case a == "" || a == "*" || a == b:
		return true
	case isWildcard(a):
		return strings.HasSuffix(b, a[1:]) && b != a[1:]
	}
	return false
}

// within reports whether a hostname is in a zone.
func within(hostname, zone string) bool {
	name := strings.TrimPrefix(hostname, wildcard)
	return zone != "" && (name == zone || strings.HasSuffix(name, "."+zone))
}

// Outside says that the hostname is outside of the zone that the route asks for, "" where it
// is not. Such a route has no record in any account.
func (r Route) Outside() string {
	if r.Zone == "" || within(r.Hostname, r.Zone) {
		return ""
	}
	return fmt.Sprintf("%s is outside of the zone %s that it asks for", r.Hostname, r.Zone)
}

// outside reports the routes that are outside of their zones.
func outside(routes []Route) (found []finding.Finding) {
	for _, r := range routes {
		if why := r.Outside(); why != "" && r.Closed == "" {
			found = append(found, finding.Finding{Code: finding.RouteBlocked, Severity: finding.Warning, Subject: r.Position, Text: why + ": it is not published", Fix: "name the zone that contains it, or no zone"})
		}
	}
	return found
}

// ErrNoZone means that the account has no zone for a hostname.
var ErrNoZone = errors.New("has no zone")

// InZone returns the one of the account's zones whose record the route's hostname is: the
// one that the route asks for, else the longest that contains the hostname. Where the account
// lacks the zone that is asked for, other says so, and the zone is the longest, too. An error
// wraps ErrNoZone, or says that the hostname is outside of the zone that it asks for.
func (r Route) InZone(zones []string) (zone, other string, err error) {
	best, asked := "", ""
	for _, z := range zones {
		name := zoneName(z)
		if name == r.Zone && r.Zone != "" {
			asked = z
		}
		if within(r.Hostname, name) && len(name) > len(zoneName(best)) {
			best = z
		}
	}
	switch {
	case asked != "" && !within(r.Hostname, r.Zone):
		return "", "", fmt.Errorf("%s is outside of its zone %s", r.Hostname, r.Zone)
	case asked != "":
		return asked, "", nil
	case best == "":
		return "", "", fmt.Errorf("%s %w in the account, which has %s", r.Hostname, ErrNoZone, listed(zones))
	case r.Zone != "":
		other = fmt.Sprintf("the account has no zone %s: %s goes into %s", r.Zone, r.Hostname, best)
	}
	return best, other, nil
}

// zoneName returns a zone as hostnames have it: small letters, ASCII.
func zoneName(text string) string {
	if ascii, err := Hostname(strings.TrimSuffix(text, ".")); err == nil {
		return ascii
	}
	return strings.ToLower(text)
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
