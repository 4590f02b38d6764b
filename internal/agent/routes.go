package agent

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/route"
)

// guarded are the hostnames, with paths, for which a host is asked for protection.
func guarded(spec agentapi.Host) []string {
	var all []string
	for _, o := range spec.Routes() {
		if o.Route.Asks() {
			all = append(all, o.Route.Key().String())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// routeChanges are the routes that come, change and go, and the hostnames that lose their
// protection by that.
func routeChanges(applied, want agentapi.Host) []agentapi.Change {
	was, now := applied.Routes(), want.Routes()
	opened := route.Opened(bare(was), bare(now))
	var all []agentapi.Change
	for _, o := range now {
		c := changeOf(o, "+", cmp.Or(o.Route.Closed, o.Route.Service+" for "+whoMay(o.Route)))
		c.Open = !o.Route.Asks()
		if i := slices.IndexFunc(was, sameRoute(o)); i >= 0 {
			said := differences(saysOf(was[i].Route), saysOf(o.Route))
			if len(said) == 0 {
				continue
			}
			c.Action, c.Cause = "~", strings.Join(said, "; ")
		}
		all = append(all, c)
	}
	for _, o := range was {
		if !slices.ContainsFunc(now, sameRoute(o)) {
			all = append(all, changeOf(o, "-", "not published here any more"))
		}
	}
	for i := range all {
		key := strings.TrimPrefix(all[i].ID, string(agentapi.ChangeRoute)+" ")
		if at := slices.IndexFunc(opened, func(k route.Key) bool { return k.String() == key }); at >= 0 {
			all[i].Opens, opened = key, slices.Delete(opened, at, at+1)
		}
	}
	return all
}

// refuseOpening refuses an apply after which everyone reaches a hostname that was protected here,
// where the operator has not confirmed that: a command that plans nothing has asked about nothing.
// What a stack that comes or goes publishes elsewhere is not known here, so only a plan compares it.
func refuseOpening(applied agentapi.Host, req agentapi.Apply) error {
	gone := func(other agentapi.Host) func(route.Owned) bool {
		return func(o route.Owned) bool {
			_, own := fleet.OwnerOf(o.Owner)
			return !own && !slices.ContainsFunc(other.Stacks, func(st agentapi.Stack) bool { return st.Name == o.Owner })
		}
	}
	was := slices.DeleteFunc(applied.Routes(), gone(req.Host))
	now := slices.DeleteFunc(req.Host.Routes(), gone(applied))
	for _, k := range route.Opened(bare(was), bare(now)) {
		if !slices.Contains(req.Opens, k.String()) {
			return fault.WithHint(fmt.Errorf("everyone would reach %s, which is protected, and that was not confirmed", k), "salvor apply shows it, and asks")
		}
	}
	return nil
}

func changeOf(o route.Owned, action, cause string) agentapi.Change {
	c := agentapi.Change{ID: string(agentapi.ChangeRoute) + " " + o.Route.Key().String(), Action: action, Cause: cause}
	if _, own := fleet.OwnerOf(o.Owner); !own {
		c.Stack = o.Owner
	}
	return c
}

func bare(all []route.Owned) []route.Route {
	var routes []route.Route
	for _, o := range all {
		routes = append(routes, o.Route)
	}
	return routes
}

// sameRoute is for finding a route again: two services of a stack may declare the same one.
func sameRoute(o route.Owned) func(route.Owned) bool {
	return func(other route.Owned) bool {
		return o.Owner == other.Owner && o.Route.Key() == other.Route.Key() && o.Route.Of == other.Route.Of
	}
}

// saysOf is what a route says in addition to its key, less where it is declared.
func saysOf(r route.Route) []setting {
	all := []setting{{name: "service", value: r.Service}, {name: "access", value: whoMay(r)}}
	for _, s := range []setting{
		{name: "application", value: asText(r.Access)}, {name: "origin", value: asText(r.Origin)}, {name: "zone", value: r.Zone},
		{name: "grace", value: duration(r.Grace)}, {name: "closed", value: r.Closed}, {name: "declared by", value: strings.Join(r.Claimants, ", ")},
	} {
		if s.value != "" {
			all = append(all, s)
		}
	}
	return all
}

// whoMay says who may reach a route.
func whoMay(r route.Route) string {
	a := r.Access
	switch {
	case a == nil:
		return "everyone"
	case a.OfZone:
		return "whom the zone's application lets in"
	case len(a.Groups) > 0:
		return strings.Join(a.Groups, ", ")
	}
	return cmp.Or(a.Name, "whom its own rules let in")
}

// asText stands for a part of a route, "" for one that says nothing: equal ones have equal texts.
func asText(part any) string {
	content, err := json.Marshal(part)
	if text := string(content); err == nil && text != "null" && text != "{}" {
		return short(text)
	}
	return ""
}
