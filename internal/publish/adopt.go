package publish

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/cloudflare"
	"salvor/internal/route"
)

// An Adoption says what becomes of a hostname that another program has published through a
// tunnel when Salvor takes it over. First its applications become as they are wanted, and once
// Cloudflare has answered with them its record gets the mark. The next pass finds it its own.
type Adoption struct {
	Hostname string
	Owner    string           // that declares it, "" for none
	Why      string           // it stays as it is; "" where it is taken over
	Apps     []cloudflare.App // to put first
	Record   *Change          // that marks it; nil where that is done
	Access   []string         // what changes of who may in, "+ allow email a@b.c", without ids
	Left     []string         // applications of it, by name, that nothing declares: they stay in front of it
}

// Adopt returns what becomes of the hostnames of the tunnel of d, whose rules another program
// has made. That program must not run any more. Nothing that is protected now is opened, and
// no path of a hostname loses its rule.
func Adopt(d Desired, a Actual) []Adoption {
	c := newComparison(d, a)
	paths := map[string][]string{}
	for _, r := range a.Config.Ingress {
		if r.Hostname != "" && r.Hostname != "*" {
			paths[r.Hostname] = append(paths[r.Hostname], r.Path)
		}
	}
	all := []Adoption{}
	for _, hostname := range slices.Sorted(maps.Keys(paths)) {
		all = append(all, c.adoption(hostname, paths[hostname]))
	}
	return all
}

// adoption decides about one hostname whose rules have these paths.
func (c *comparison) adoption(hostname string, paths []string) Adoption {
	out := Adoption{Hostname: hostname}
	s := c.sites[hostname]
	if s == nil {
		out.Why = "nothing declares it for this host"
		return out
	}
	out.Owner = s.owner
	for _, check := range []func(*site, []string, *Adoption) string{c.declaredWhole, c.adoptRecord, c.adoptApps} {
		if out.Why = check(s, paths, &out); out.Why != "" {
			out.Apps, out.Record, out.Access, out.Left = nil, nil, nil, nil
			return out
		}
	}
	return out
}

// declaredWhole returns why a hostname's declaration can't stand for its rules.
func (c *comparison) declaredWhole(s *site, paths []string, _ *Adoption) string {
	for _, path := range paths {
		if !slices.ContainsFunc(s.routes, func(r route.Route) bool { return r.Path == path }) {
			return fmt.Sprintf("the tunnel has a rule of its path %q, which %s does not declare", path, s.owner)
		}
	}
	for _, r := range s.routes {
		if r.Closed != "" {
			return "its declaration is not published: " + r.Closed
		}
		if r.Loses(s.owner) && !s.at.mine {
			return r.Claimants[0] + " declares it, too, and comes first"
		}
	}
	switch {
	case s.zone < 0:
		return noZone(s.routes[0].Zone)
	case c.a.Zones[s.zone].Denied != nil:
		return c.a.Zones[s.zone].Denied.Error()
	}
	return ""
}

// adoptRecord marks the record that leads to the tunnel, and no other.
func (c *comparison) adoptRecord(s *site, _ []string, out *Adoption) string {
	if s.at.mine {
		return ""
	}
	if len(s.at.records) == 0 {
		return "it has no record in DNS"
	}
	is := s.at.records[0]
	if _, marked := parseMark(is.Comment); marked || len(s.at.records) > 1 {
		return s.at.off
	}
	if is.Type != "CNAME" || is.Content != c.d.Tunnel.Target() {
		return fmt.Sprintf("its record does not lead to the tunnel: %s %s", is.Type, is.Content)
	}
	want := is
	want.Comment = c.d.mark(s.owner)
	out.Record = &Change{Hostname: s.hostname, Zone: c.a.Zones[s.zone].ID, Is: is, Want: want}
	return ""
}

// adoptApps finds the applications that are not yet as they are wanted.
func (c *comparison) adoptApps(s *site, _ []string, out *Adoption) string {
	out.Left = c.undeclared(s)
	for _, r := range s.routes {
		if r.Access == nil {
			continue
		}
		if why := c.adoptApp(s, r, out); why != "" {
			return why
		}
	}
	return ""
}

// adoptApp finds the application of a protected route.
func (c *comparison) adoptApp(s *site, r route.Route, out *Adoption) string {
	if c.a.AppsDenied != nil {
		return c.a.AppsDenied.Error()
	}
	if r.Access.OfZone {
		return c.zoneApp(s)
	}
	want, err := wantedApp(c.d, c.a, route.Owned{Owner: s.owner, Route: r})
	if err != nil {
		return err.Error()
	}
	is, exists := c.a.app(want.Domain)
	if exists && c.myApp(is) && guards(is, want) && c.marked(is, s.owner) {
		return ""
	}
	if why := c.othersApp(is, want, r); exists && why != "" {
		return why
	}
	if front, is := c.front(r.Domain()); !exists && is && !r.Access.Protects() && !slices.Contains(c.who(front), everyone) {
		return fmt.Sprintf("the application %q protects it now, and its declaration lets everyone in", front.Name)
	}
	want.ID = is.ID
	out.Apps = append(out.Apps, want)
	out.Access = append(out.Access, c.changed(is, want)...)
	return ""
}

// front returns the application that is responsible for a domain without one of its own: of the
// hostname the one with the longest path above it, else that with a wildcard for its level.
func (c *comparison) front(domain string) (found cloudflare.App, is bool) {
	host, _, _ := strings.Cut(domain, "/")
	_, parent, _ := strings.Cut(host, ".")
	longest := 0
	for _, app := range c.a.Apps {
		for _, d := range append(slices.Clone(app.Domains), app.Domain) {
			above := d == host || strings.HasPrefix(d, host+"/") && strings.HasPrefix(domain+"/", d+"/")
			length := len(d)
			if d == "*."+parent {
				above, length = true, 1 // any of the hostname comes before it
			}
			if above && length > longest {
				found, is, longest = app, true, length
			}
		}
	}
	return found, is
}

// undeclared are the names of a hostname's applications that nothing declares.
func (c *comparison) undeclared(s *site) (names []string) {
	for _, app := range c.a.Apps {
		host, _, _ := strings.Cut(app.Domain, "/")
		declares := func(r route.Route) bool { return r.Access != nil && r.Domain() == app.Domain }
		if host == s.hostname && !slices.ContainsFunc(s.routes, declares) {
			names = append(names, app.Name)
		}
	}
	return names
}

// othersApp returns why an application is not taken over, "" where it is.
func (c *comparison) othersApp(is, want cloudflare.App, r route.Route) string {
	switch {
	case c.appOff(is) != "":
		return c.appOff(is)
	case is.Name != want.Name && !strings.HasPrefix(is.Name, "DockFlare-") && !c.myApp(is):
		return fmt.Sprintf("its application %q is not DockFlare's", is.Name)
	case len(is.Domains) > 1:
		return fmt.Sprintf("its application %q is for other hostnames, too: %s", is.Name, strings.Join(is.Domains, ", "))
	case r.Access.Protects() || slices.Contains(c.who(is), everyone):
		return ""
	}
	return "it is protected now, and its declaration lets everyone in"
}

const everyone = "bypass everyone"

// changed are the differences in who may in.
func (c *comparison) changed(is, want cloudflare.App) (lines []string) {
	before, after := c.who(is), c.who(want)
	for _, w := range before {
		if !slices.Contains(after, w) {
			lines = append(lines, "- "+w)
		}
	}
	for _, w := range after {
		if !slices.Contains(before, w) {
			lines = append(lines, "+ "+w)
		}
	}
	return lines
}

// who says whom the policies of an application are about: a line for each way in. In which of
// include and require something stands does not count where it is the same: DockFlare up to
// 3.1.2 and since 3.1.3 write one group in two ways.
func (c *comparison) who(app cloudflare.App) (lines []string) {
	for _, raw := range app.Policies {
		var p policy
		if json.Unmarshal(raw, &p) != nil {
			lines = append(lines, "a policy that can't be read")
			continue
		}
		var all []string
		for _, s := range p.Require {
			all = append(all, c.selected(s))
		}
		var not []string
		for _, s := range p.Exclude {
			not = append(not, "not "+c.selected(s))
		}
		for _, s := range p.Include {
			way := slices.Concat(all, []string{c.selected(s)})
			slices.Sort(way)
			lines = append(lines, p.Decision+" "+strings.Join(slices.Concat(slices.Compact(way), not), ", "))
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// selected is a selector for people: {"email":{"email":"a@b.c"}} is "email a@b.c".
func (c *comparison) selected(raw json.RawMessage) string {
	var one map[string]map[string]any
	if json.Unmarshal(raw, &one) != nil || len(one) != 1 {
		return canonical(raw)
	}
	for kind, fields := range one {
		var values []string
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			values = append(values, c.nameOf(fmt.Sprint(fields[field])))
		}
		return strings.TrimSpace(kind + " " + strings.Join(values, " "))
	}
	return ""
}

// nameOf is the name of what has an ID, or the text.
func (c *comparison) nameOf(text string) string {
	for _, n := range slices.Concat(c.a.Providers, c.a.Tokens) {
		if n.ID == text {
			return n.Name
		}
	}
	return text
}
