package publish

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/cloudflare"
	"salvor/internal/finding"
	"salvor/internal/route"
)

// mine returns the sites that this host may change, by hostname.
func (c *comparison) mine() []*site {
	var all []*site
	for _, name := range slices.Sorted(maps.Keys(c.sites)) {
		if s := c.sites[name]; s.off == "" {
			all = append(all, s)
		}
	}
	return all
}

// protect finds the applications to put, and closes the routes whose protection is not
// seen to be there.
func (c *comparison) protect() {
	wanted := map[string]cloudflare.App{}
	for _, s := range c.mine() {
		for i := range s.routes {
			r := &s.routes[i]
			if r.Access == nil {
				continue
			}
			if !r.Access.OfZone {
				c.apps[r.Domain()] = true
			}
			if r.Closed != "" {
				continue
			}
			why := c.protected(s, *r, wanted)
			if why == "" {
				continue
			}
			if r.Access.Protects() || r.Access.OfZone {
				r.Closed = why
				c.find(finding.RouteClosed, r.Key().String(), "it is not published, since its protection can't be confirmed: "+why+declared(*r), "salvor route plan shows who may in")
			}
		}
	}
}

// protected returns why a route's application is not as it is wanted; "" if it is.
func (c *comparison) protected(s *site, r route.Route, wanted map[string]cloudflare.App) string {
	switch {
	case c.a.AppsDenied != nil:
		return c.a.AppsDenied.Error()
	case r.Access.OfZone:
		return c.zoneApp(s)
	}
	want, err := wantedApp(c.d, c.a, route.Owned{Owner: s.owner, Route: r})
	if err != nil {
		return err.Error()
	}
	if other, twice := wanted[want.Domain]; twice && !guards(other, want) {
		return "two routes want a different application of " + want.Domain
	}
	wanted[want.Domain] = want
	is, exists := c.a.app(want.Domain)
	err, tried := c.a.Tried.Apps[want.Domain]
	switch {
	case exists && c.myApp(is) && guards(is, want) && c.marked(is, s.owner):
		return ""
	case exists && !c.myApp(is):
		return "the account has an application of " + want.Domain + " that is not Salvor's"
	case tried && err != nil:
		return err.Error()
	case tried:
		return "Cloudflare made something else of its application"
	case exists && r.Access.Protects() && c.widens(is, want) && c.elsewhere(r):
		if c.behind() {
			c.out.Waiting = append(c.out.Waiting, s.hostname)
		}
		return "who may reach it may not yet reach the service that it led to"
	}
	want.ID = is.ID
	same := func(a cloudflare.App) bool { return a.Domain == want.Domain }
	switch {
	case !r.Access.Protects():
		c.opening = append(c.opening, opening{r.Key(), want})
	case !slices.ContainsFunc(c.out.Put, same):
		c.out.Put = append(c.out.Put, want)
	}
	return "its application is not there yet"
}

// widens reports whether an application lets more in than it does.
func (c *comparison) widens(is, want cloudflare.App) bool {
	ways := c.who(is)
	return slices.ContainsFunc(c.who(want), func(way string) bool { return !slices.Contains(ways, way) })
}

// elsewhere reports whether the connector may lead a route's requests to another service.
func (c *comparison) elsewhere(r route.Route) bool {
	other := c.behind()
	for _, is := range c.a.Config.Ingress {
		if is.Hostname == r.Hostname && is.Path == r.Path {
			if is.Service == r.Service {
				return false
			}
			other = other || !strings.HasPrefix(is.Service, "http_status:")
		}
	}
	return other
}

// An opening is an application that lets everyone in. Before the connector has the rule that it is
// for, another service, which is protected, may get the requests.
type opening struct {
	key route.Key
	app cloudflare.App
}

// open finds the applications to put that let everyone in, once the connector has the rules.
func (c *comparison) open() {
	for _, o := range c.opening {
		switch {
		case slices.ContainsFunc(c.sites[o.key.Hostname].routes, func(r route.Route) bool { return r.Key() == o.key && r.Closed != "" }):
		case c.behind():
			c.out.Waiting = append(c.out.Waiting, o.app.Domain)
		case !slices.ContainsFunc(c.out.Put, func(a cloudflare.App) bool { return a.Domain == o.app.Domain }):
			c.out.Put = append(c.out.Put, o.app)
		}
	}
}

// marked reports whether all policies of an application have the present mark of an owner.
func (c *comparison) marked(app cloudflare.App, owner string) bool {
	marks := marksOf(app)
	return len(marks) == len(app.Policies) && !slices.ContainsFunc(marks, func(m mark) bool {
		return m.owning != c.d.owning(owner) || m.epoch != c.d.Owners[owner]
	})
}

// zoneApp returns why the application of all of a zone does not protect a site. A wildcard is
// for one level, and an application of the hostname itself comes before it. Source:
// developers.cloudflare.com/cloudflare-one/access-controls/policies/app-paths.
func (c *comparison) zoneApp(s *site) string {
	zone := c.a.Zones[s.zone].Name
	domain := "*." + zone
	if first, below := strings.CutSuffix(s.hostname, "."+zone); !below || first == "*" || strings.Contains(first, ".") {
		return "the application of " + domain + " is for hostnames with one part in front of " + zone + " alone"
	}
	app, exists := c.a.app(domain)
	if !exists || len(app.Policies) == 0 {
		return "the account does not have an application of " + domain + " with a policy"
	}
	if lets(app) {
		return "the application of " + domain + " lets some pass without a login"
	}
	for _, other := range c.a.Apps {
		if lets(other) && slices.ContainsFunc(append(slices.Clone(other.Domains), other.Domain), func(d string) bool { return d == s.hostname || strings.HasPrefix(d, s.hostname+"/") }) {
			return fmt.Sprintf("the application %q comes before that of %s, and lets some pass without a login", other.Name, domain)
		}
	}
	return ""
}

// lets reports whether an application may let someone pass without a login.
func lets(app cloudflare.App) bool {
	return slices.ContainsFunc(app.Policies, func(raw json.RawMessage) bool {
		var p policy
		return json.Unmarshal(raw, &p) != nil || p.Decision == string(route.Bypass)
	})
}

// rules finds the list of rules. It is false where none can be made.
func (c *comparison) rules() bool {
	var routes []route.Route
	for _, s := range c.mine() {
		routes = append(routes, s.routes...)
	}
	var rest []route.Rule
	for _, r := range c.a.Config.Ingress {
		if !c.myRule(r.Hostname) {
			rest = append(rest, r)
		}
	}
	want, refused := route.Rules(routes, rest)
	for _, r := range refused {
		c.find(finding.RouteClosed, r.Route.Key().String(), "it is not published: cloudflared would refuse its rule: "+r.Why, "correct "+cmp.Or(r.Route.Position, "its declaration"))
		c.close(r.Route.Key(), r.Why)
	}
	own := map[string]bool{}
	for _, r := range want {
		own[r.Hostname] = own[r.Hostname] || r.Raw == nil
	}
	delete(own, "") // the last rule
	for _, r := range c.a.Config.Ingress {
		own[r.Hostname] = own[r.Hostname] || c.a.Sent[r.Hostname] // also where something came in the way
	}
	maps.DeleteFunc(own, func(_ string, is bool) bool { return !is })
	c.out.Own = slices.Collect(maps.Keys(own))
	if err := route.Check(want); err != nil {
		c.find(finding.RouteClosed, c.d.Tunnel.Name, "its rules stay as they are: "+err.Error(), "correct the tunnel's rules at Cloudflare")
		return false
	}
	if len(c.kept) > 0 && !c.closing() {
		return true
	}
	if len(c.a.Config.Ingress)+len(own) == 0 || slices.EqualFunc(unordered(want), unordered(c.a.Config.Ingress), sameRule) {
		return true
	}
	if err := c.a.Tried.Rules; err != nil {
		c.find(finding.RouteClosed, c.d.Tunnel.Name, "its rules were not taken: "+err.Error(), "salvor route plan shows them")
		return false
	}
	c.out.Rules = want
	return true
}

// unordered returns rules in one order where theirs does not matter: among those of different
// hostnames without a wildcard. So a hostname that another host has now leaves the list as it is.
func unordered(rules []route.Rule) []route.Rule {
	all := slices.Clone(rules)
	exact := func(r route.Rule) bool { return r.Hostname != "" && !strings.HasPrefix(r.Hostname, "*") }
	for from := 0; from < len(all); from++ {
		end := from
		for end < len(all) && exact(all[end]) {
			end++
		}
		slices.SortStableFunc(all[from:end], func(a, b route.Rule) int { return cmp.Compare(a.Hostname, b.Hostname) })
		from = end
	}
	return all
}

// closing reports whether a closed route is served now.
func (c *comparison) closing() bool {
	for _, s := range c.mine() {
		for _, r := range s.routes {
			if r.Closed != "" && slices.ContainsFunc(c.a.Config.Ingress, func(is route.Rule) bool {
				return is.Hostname == r.Hostname && is.Path == r.Path && is.Service == r.Service
			}) {
				return true
			}
		}
	}
	return false
}

// myRule reports whether the rules of a hostname are this host's: where its record is, and
// where this host sent them and nothing else came in the way.
func (c *comparison) myRule(hostname string) bool {
	if hostname == "" || c.kept[hostname] {
		return false
	}
	s, h := c.sites[hostname], c.held[hostname]
	if s != nil {
		return s.off == ""
	}
	return h.mine || c.a.Sent[hostname] && h.off == ""
}

// close closes a route that has no rule.
func (c *comparison) close(key route.Key, why string) {
	for i, r := range c.sites[key.Hostname].routes {
		if r.Key() == key {
			c.sites[key.Hostname].routes[i].Closed = why
		}
	}
}

// sameRule compares what two rules say; what Cloudflare adds to one does not count.
func sameRule(a, b route.Rule) bool {
	return a.Hostname == b.Hostname && a.Path == b.Path && a.Service == b.Service && (a.Raw != nil && string(a.Raw) == string(b.Raw) || origin(a) == origin(b))
}

// origin returns a rule's originRequest without the settings that say nothing.
func origin(r route.Rule) string {
	content, err := r.MarshalJSON()
	if err != nil {
		return err.Error()
	}
	var w struct {
		Origin map[string]json.RawMessage `json:"originRequest"`
	}
	if json.Unmarshal(content, &w) != nil {
		return string(content)
	}
	maps.DeleteFunc(w.Origin, func(_ string, v json.RawMessage) bool {
		return slices.Contains([]string{"null", "false", `""`, "0", "{}", "[]"}, string(v))
	})
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(w.Origin)) {
		fmt.Fprintf(&out, "%s=%s\n", name, canonical(w.Origin[name]))
	}
	return out.String()
}

// records finds the records to change. Those that lead to rules wait for the connector.
func (c *comparison) records() {
	for _, s := range c.mine() {
		if !s.published() {
			c.takeOff(s.hostname)
			continue
		}
		want := cloudflare.Record{Type: "CNAME", Name: s.hostname, Content: c.d.Tunnel.Target(), Proxied: true, TTL: 1, Comment: c.d.mark(s.owner)}
		var is cloudflare.Record
		if s.at.mine {
			is = s.at.records[0]
		}
		err, tried := c.a.Tried.Records[s.hostname]
		want.ID = is.ID
		switch {
		case is == want && len(s.at.records) == 1 && s.at.zone == s.zone:
			c.out.Live = append(c.out.Live, s.hostname)
		case len(c.kept) > 0: // the brake: nothing comes
		case tried:
			c.refusedRecord(s.hostname, err)
		case c.behind():
			c.out.Waiting = append(c.out.Waiting, s.hostname)
		default:
			want.ID = ""
			c.change(Change{s.hostname, c.a.Zones[s.zone].ID, is, want}, s.at)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.held)) {
		if c.sites[name] == nil && !c.kept[name] {
			c.takeOff(name)
		}
	}
}

// behind reports whether the connector does not have the present configuration.
func (c *comparison) behind() bool { return c.a.Live < c.a.Config.Version }

// takeOff removes the records of a hostname that are this host's.
func (c *comparison) takeOff(hostname string) {
	h := c.held[hostname]
	if !h.mine {
		return
	}
	if err, tried := c.a.Tried.Records[hostname]; tried {
		c.refusedRecord(hostname, err)
		return
	}
	for _, r := range h.records {
		c.out.Records = append(c.out.Records, Change{Hostname: hostname, Zone: c.a.Zones[h.zone].ID, Is: r})
	}
}

// change changes the first record, or what has another type or zone, and removes the others.
func (c *comparison) change(one Change, at holding) {
	if at.mine && c.a.Zones[at.zone].ID != one.Zone {
		c.takeOff(one.Hostname)
		one.Is = cloudflare.Record{}
	} else if at.mine {
		for _, r := range at.records[1:] {
			c.out.Records = append(c.out.Records, Change{Hostname: one.Hostname, Zone: one.Zone, Is: r})
		}
	}
	c.out.Records = append(c.out.Records, one)
}

func (c *comparison) refusedRecord(hostname string, err error) {
	c.find(finding.RouteBlocked, hostname, "its record stays as it is: "+err.Error(), "look at the zone's records at Cloudflare")
}

// leftovers finds the applications that protect nothing any more: no rule and no record is
// left that they were for.
func (c *comparison) leftovers() {
	for _, app := range c.a.Apps {
		host, _, _ := strings.Cut(app.Domain, "/")
		s := c.sites[host]
		if c.apps[app.Domain] || !c.myApp(app) || c.kept[host] || c.held[host].off != "" || s != nil && s.off != "" {
			continue
		}
		switch err, tried := c.a.Tried.Apps[app.Domain]; {
		case tried:
			c.find(finding.RouteBlocked, app.Domain, "its application is left: "+err.Error(), "remove it at Cloudflare")
		case c.behind():
			c.out.Waiting = append(c.out.Waiting, app.Domain)
		default:
			c.out.Remove = append(c.out.Remove, app)
		}
	}
}
