package route

import (
	"cmp"
	"slices"
	"strings"
)

// Asks reports whether a route asks for protection: a closed one does, and lets no one in.
func (r Route) Asks() bool {
	return r.Closed != "" || r.Access.Protects() || r.Access != nil && r.Access.OfZone
}

// Opened returns what of a list of routes asked for protection and is open to everyone in the
// next one, in its order: a route that asks for none any more, one that is gone while another
// serves its requests, and a new one in front of one that asked. Each is its hostname and path.
func Opened(was, now []Route) []Key {
	var opened []Key
	for _, r := range now {
		if r.Asks() || slices.ContainsFunc(was, func(w Route) bool { return w.Key() == r.Key() && !w.Asks() }) {
			continue
		}
		if before, served := serving(was, r); served && before.Asks() {
			opened = append(opened, r.Key())
		}
	}
	for _, w := range was {
		after, served := serving(now, w)
		if w.Asks() && served && !after.Asks() && !slices.Contains(opened, w.Key()) {
			opened = append(opened, w.Key())
		}
	}
	return opened
}

// serving returns the route of a list that gets the requests of another one, which need not be
// in the list: its own hostname before a wildcard, a longer path before a shorter one. Paths are
// patterns: only equal ones are known to be the same, and a plain one to have what begins with it.
func serving(all []Route, r Route) (found Route, served bool) {
	for _, o := range all {
		serves := covers(o.Hostname, r.Hostname) && (o.Path == "" || o.Path == r.Path || isPlain(o.Path) && strings.HasPrefix(r.plainPath()+"/", o.plainPath()+"/"))
		if serves && (!served || cmp.Or(cmp.Compare(width(o.Hostname), width(found.Hostname)), cmp.Compare(len(found.Path), len(o.Path))) < 0) {
			found, served = o, true
		}
	}
	return found, served
}
