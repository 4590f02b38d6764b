package publish

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/cloudflare"
	"salvor/internal/finding"
	"salvor/internal/route"
)

// A site is a hostname with all that is wanted of it.
type site struct {
	hostname string
	owner    string
	routes   []route.Route
	zone     int     // in Actual.Zones, less than 0 for none
	at       holding // what is there now
	off      string  // why it is not this host's to change; "" where it is
}

// published reports whether one of its routes is.
func (s *site) published() bool {
	return slices.ContainsFunc(s.routes, func(r route.Route) bool { return r.Closed == "" })
}

// A holding is what a hostname has in DNS.
type holding struct {
	zone    int
	records []cloudflare.Record // addresses: A, AAAA, CNAME
	mine    bool                // one CNAME or the like with a mark of this host's owners
	owner   string              // of mine
	off     string              // why it is not this host's to change; "" where it is, or where nothing is there
}

// A comparison is the work of Compare.
type comparison struct {
	d      Desired
	a      Actual
	marks  map[string]string // owners by the mark's owning part
	former map[string]int    // as Desired.former returns it
	held   map[string]holding
	sites  map[string]*site
	kept   map[string]bool // hostnames that the brake keeps as they are
	apps   map[string]bool // domains of applications that are wanted
	// opening are applications that are put after the rules.
	opening []opening
	out     Difference
}

func newComparison(d Desired, a Actual) *comparison {
	c := &comparison{d: d, a: a, marks: d.marks(), former: d.former(), held: map[string]holding{}, sites: map[string]*site{}, kept: map[string]bool{}, apps: map[string]bool{}}
	c.hold()
	c.gather()
	for _, name := range slices.Sorted(maps.Keys(c.sites)) {
		c.place(c.sites[name])
	}
	c.brake()
	return c
}

// whose looks at a mark of a hostname's record or application. A former owner's is this host's
// to replace where it wants the hostname.
func (c *comparison) whose(hostname string, m mark) whose {
	epoch, former := c.former[m.owning]
	if !former || !slices.ContainsFunc(c.d.Routes, func(o route.Owned) bool { return o.Route.Hostname == hostname }) {
		return c.d.whose(c.marks, m)
	}
	if m.epoch > epoch {
		return newer
	}
	return ours
}

// hold looks whose the hostnames with records are.
func (c *comparison) hold() {
	for i, z := range c.a.Zones {
		for _, r := range z.Records {
			if r.Type != "A" && r.Type != "AAAA" && r.Type != "CNAME" {
				continue
			}
			h := c.held[r.Name]
			h.zone, h.records = i, append(h.records, r)
			m, marked := parseMark(r.Comment)
			switch {
			case !marked:
				h.off = fmt.Sprintf("the zone has a record of it that is not Salvor's: %s %s", r.Type, r.Content)
			case c.whose(r.Name, m) == another:
				h.off = fmt.Sprintf("its record is marked as %s%d", m.owning, m.epoch)
			case c.whose(r.Name, m) == newer:
				h.off = fmt.Sprintf("another host has it since: its record is marked as %s%d", m.owning, m.epoch)
			default:
				h.mine, h.owner = true, c.marks[m.owning]
			}
			c.held[r.Name] = h
		}
	}
	for name, h := range c.held {
		h.mine = h.mine && h.off == ""
		c.held[name] = h
	}
	for _, app := range c.a.Apps {
		host, _, _ := strings.Cut(app.Domain, "/")
		if off := c.appOff(app); off != "" {
			h := c.held[host]
			h.mine, h.off = false, off
			c.held[host] = h
		}
	}
}

// appOff says why a marked application keeps this host from its hostname.
func (c *comparison) appOff(app cloudflare.App) string {
	if !slices.Contains(app.Tags, Tag) {
		return ""
	}
	host, _, _ := strings.Cut(app.Domain, "/")
	for _, m := range marksOf(app) {
		switch c.whose(host, m) {
		case another:
			return fmt.Sprintf("its Access application is marked as %s%d", m.owning, m.epoch)
		case newer:
			return fmt.Sprintf("another host has it since: its Access application is marked as %s%d", m.owning, m.epoch)
		}
	}
	return ""
}

// myApp reports whether an application is of this host's owners: by its mark, or where that
// was taken away by its hostname's record.
func (c *comparison) myApp(app cloudflare.App) bool {
	if !slices.Contains(app.Tags, Tag) || c.appOff(app) != "" {
		return false
	}
	host, _, _ := strings.Cut(app.Domain, "/")
	return len(marksOf(app)) > 0 || c.held[host].mine
}

// gather makes a site of each hostname's routes. Of several owners the one that has it
// keeps it.
func (c *comparison) gather() {
	owners := map[string][]string{}
	for _, o := range c.d.Routes {
		if _, may := c.d.Owners[o.Owner]; may && !slices.Contains(owners[o.Route.Hostname], o.Owner) {
			owners[o.Route.Hostname] = append(owners[o.Route.Hostname], o.Owner)
		}
	}
	for hostname, claim := range owners {
		slices.Sort(claim)
		owner := claim[0]
		if h := c.held[hostname]; h.mine && slices.Contains(claim, h.owner) {
			owner = h.owner
		}
		c.sites[hostname] = &site{hostname: hostname, owner: owner, zone: -1, at: c.held[hostname]}
		for _, other := range claim {
			if other != owner {
				c.find(finding.RouteBlocked, hostname, fmt.Sprintf("the routes of %s are not published: %s has the hostname", other, owner), "use another hostname, or remove one of the two")
			}
		}
	}
	for _, o := range c.d.Routes {
		if s := c.sites[o.Route.Hostname]; s != nil && s.owner == o.Owner {
			s.routes = append(s.routes, o.Route)
		}
	}
}

// place says where a site's record goes, and what is in its way.
func (c *comparison) place(s *site) {
	first := s.routes[0]
	s.zone = c.a.zone(s.hostname, first.Zone)
	switch claim := first.Claimants; {
	case s.at.off != "":
		s.off = s.at.off
	case !s.at.mine && len(claim) > 0 && claim[0] != s.owner:
		s.off = claim[0] + " declares it, too, and comes first"
	case s.zone < 0:
		s.off = noZone(first.Zone)
	case c.a.Zones[s.zone].Denied != nil:
		s.off = c.a.Zones[s.zone].Denied.Error()
	case !s.at.mine && !c.a.Sent[s.hostname] && c.foreignRule(s):
		s.off = "the tunnel has a rule of it that is not Salvor's"
	}
	if s.off != "" {
		c.find(finding.RouteBlocked, s.hostname, "it is not published, or stays as it is: "+s.off+declared(first), "remove what is in the way, or use another hostname")
	}
}

// declared says where a route is declared, for the end of a text; "" where that is not known.
func declared(r route.Route) string {
	if r.Position == "" {
		return ""
	}
	return " (" + r.Position + ")"
}

func noZone(asked string) string {
	if asked != "" {
		return fmt.Sprintf("it is not in a zone %s that the token may see", asked)
	}
	return "no zone that the token may see contains it"
}

// foreignRule reports whether the tunnel has a rule of the hostname that would be another
// one if it were Salvor's.
func (c *comparison) foreignRule(s *site) bool {
	want, _ := route.Rules(s.routes, nil)
	for _, r := range c.a.Config.Ingress {
		if r.Hostname == s.hostname && !slices.ContainsFunc(want, func(w route.Rule) bool { return sameRule(w, r) }) {
			return true
		}
	}
	return false
}

const (
	brakeCount   = 5  // hostnames that may always go at once
	brakePercent = 30 // of this host's
)

// brake stops a pass that would take too many hostnames off: the host keeps them, and
// publishes nothing new. What is to be closed is declared, so it is not among them, and the
// pass closes it.
func (c *comparison) brake() {
	var mine, gone []string
	for hostname, h := range c.held {
		if h.mine && len(h.records) > 0 {
			mine = append(mine, hostname)
			if c.sites[hostname] == nil {
				gone = append(gone, hostname)
			}
		}
	}
	if c.d.Shown || len(gone) <= brakeCount || len(gone)*100 <= len(mine)*brakePercent {
		return
	}
	for _, hostname := range gone {
		c.kept[hostname] = true
	}
	c.find(finding.RoutesKept, c.d.Tunnel.Name, fmt.Sprintf("%d of %d hostnames would be taken off at once, so none of them is", len(gone), len(mine)), "salvor plan shows them, salvor apply takes them off")
}

func (c *comparison) find(code finding.Code, subject, text, fix string) {
	c.out.Findings = append(c.out.Findings, finding.Finding{Code: code, Severity: finding.Warning, Subject: subject, Text: text, Fix: fix})
}
