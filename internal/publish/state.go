package publish

import (
	"salvor/internal/cloudflare"
	"salvor/internal/route"
)

// A State is what Cloudflare has of a route.
type State struct {
	Rule    bool   // the tunnel has its rule
	Record  string // of its hostname, "CNAME 1234.cfargotunnel.com"; "" for none
	Guarded bool   // an application is in front of it
	Live    bool   // it is published as it is wanted, and the connector has its rule
}

// states says what there is of each route that is wanted, once next is all that is left.
func states(d Desired, a Actual, next Difference) map[route.Key]State {
	live, records := map[string]bool{}, map[string]cloudflare.Record{}
	for _, hostname := range next.Live {
		live[hostname] = a.Live >= a.Config.Version
	}
	for _, z := range a.Zones {
		for _, r := range z.Records {
			if r.Type == "A" || r.Type == "AAAA" || r.Type == "CNAME" {
				records[r.Name] = r
			}
		}
	}
	type rule struct {
		route.Key
		service string
	}
	rules := map[rule]bool{}
	for _, r := range a.Config.Ingress {
		rules[rule{route.Key{Hostname: r.Hostname, Path: r.Path}, r.Service}] = true
	}
	all := map[route.Key]State{}
	for _, o := range d.Routes {
		s := State{Rule: rules[rule{o.Route.Key(), o.Route.Service}]}
		if r, has := records[o.Route.Hostname]; has {
			s.Record = r.Type + " " + r.Content
		}
		_, s.Guarded = a.app(o.Route.Domain())
		s.Live = live[o.Route.Hostname] && s.Rule
		all[o.Route.Key()] = s
	}
	return all
}
