package dockflare

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/cloudflare"
	"salvor/internal/fleet"
	"salvor/internal/publish"
	"salvor/internal/route"
)

// A Manual is a rule that was made by hand in DockFlare.
type Manual struct {
	Rule  string          // its hostname and path
	Route fleet.HostRoute // what ingress.routes gets
	Why   string          // it gets nothing; "" where it does
}

// manual finds what the tunnel has of rules that were made by hand, and that ingress.routes
// lacks. What a rule says is taken from Cloudflare, who may in from DockFlare's state.
func (f *Fleet) manual(host string, s State, a publish.Actual) []Manual {
	var all []Manual
	for _, rule := range a.Config.Ingress {
		is, known := s.of(rule.Hostname, rule.Path)
		declared := func(r fleet.HostRoute) bool { return r.Hostname == rule.Hostname && r.Path == rule.Path }
		if rule.Hostname == "" || !known || !is.Manual || slices.ContainsFunc(f.Declared.Ingress.Routes, declared) {
			continue
		}
		m := Manual{Rule: rule.Hostname + rule.Path}
		m.Route = fleet.HostRoute{Host: host, Declared: route.Declared{Hostname: rule.Hostname, Path: rule.Path, Service: rule.Service, Access: is.Groups, Position: fleet.File}}
		var err error
		if m.Route.Origin, err = originOf(rule.Raw); err == nil {
			err = f.declarable(m.Route, is, a)
		}
		if err != nil {
			m.Why = err.Error()
		}
		all = append(all, m)
	}
	return all
}

// declarable returns why a rule can't be an entry of ingress.routes.
func (f *Fleet) declarable(r fleet.HostRoute, is StateRule, a publish.Actual) error {
	reading := f.Declared.Ingress.Settings().Declare([]route.Declared{r.Declared})
	if len(reading.Routes) == 0 || reading.Routes[0].Closed != "" {
		return errors.New(strings.TrimPrefix(closedWhy(reading), r.Hostname+r.Path+" is not published: "))
	}
	if is.OfZone {
		return errors.New("an application for all of its zone protects it, which an entry of ingress.routes can't say")
	}
	domain := reading.Routes[0].Domain()
	if len(r.Access) == 0 && slices.ContainsFunc(a.Apps, func(app cloudflare.App) bool { return app.Domain == domain }) {
		return errors.New("DockFlare's state does not say who may in, and an application protects it: declare it under ingress.routes with access")
	}
	return nil
}

func closedWhy(r route.Reading) string {
	if len(r.Findings) > 0 {
		return r.Findings[0].Text
	}
	return "it can't be published as it is"
}

// originOf reads the options of a rule, as far as ingress.routes has them. One that it does
// not have is an error, unless it says nothing.
func originOf(raw json.RawMessage) (o route.Origin, err error) {
	var rule struct {
		Origin map[string]json.RawMessage `json:"originRequest"`
	}
	if err := json.Unmarshal(raw, &rule); err != nil {
		return o, errors.New("its rule can't be read")
	}
	for _, name := range slices.Sorted(maps.Keys(rule.Origin)) {
		value := rule.Origin[name]
		var to any
		switch strings.ToLower(name) {
		case "notlsverify":
			to = &o.NoTLSVerify
		case "originservername":
			to = &o.ServerName
		case "httphostheader":
			to = &o.HostHeader
		default:
			if !slices.Contains([]string{"null", "false", `""`, "0", "{}", "[]"}, string(value)) {
				return o, fmt.Errorf("its rule has the option %s, which ingress.routes does not have", name)
			}
			continue
		}
		if json.Unmarshal(value, to) != nil {
			return o, fmt.Errorf("the option %s of its rule can't be read", name)
		}
	}
	return o, nil
}
