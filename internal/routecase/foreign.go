package routecase

import (
	"encoding/json"
	"slices"
	"strings"

	"salvor/internal/finding"
	"salvor/internal/route"
)

// refused returns the zone of a route, and why it can't be published in this world.
func (p *play) refused(r route.Route) (zone, why string) {
	zone, other, err := r.InZone(p.world.zones)
	if other != "" {
		p.found(finding.Finding{Code: finding.LabelIgnored, Severity: finding.Warning, Subject: r.Position, Text: other, Fix: "name a zone of the account, or remove the label"})
	}
	switch {
	case err != nil:
		return "", err.Error()
	case p.world.noAccess && r.Access != nil:
		return "", "its protection can't be confirmed: Access does not answer"
	case slices.ContainsFunc(p.world.manual, func(m manual) bool { return m.Hostname == r.Hostname && text(m.Path) == r.Path }):
		return "", "a rule that was made by hand has it"
	}
	recorded := false
	for _, content := range p.world.records {
		var record record
		if json.Unmarshal(content, &record) != nil || record.Name != r.Hostname {
			continue
		}
		if recorded = true; record.Content != tunnel && slices.Contains([]string{"A", "AAAA", "CNAME"}, record.Type) {
			return "", "its name has a record of type " + record.Type + " that is not Salvor's"
		}
	}
	for _, rule := range p.world.rules {
		if !recorded && rule.Hostname == r.Hostname && (rule.Path != r.Path || rule.Service != r.Service) {
			return "", "the tunnel has a rule for it that is not Salvor's"
		}
	}
	for _, content := range p.world.apps {
		var app app
		if r.Access != nil && json.Unmarshal(content, &app) == nil && app.Domain == r.Domain() && app.Name != r.App() {
			return "", "an Access application for it is not Salvor's: " + app.Name
		}
	}
	return zone, ""
}

// foreign are the rules at Cloudflare that stay: those of other hostnames.
func (p *play) foreign(own map[string]bool) []route.Rule {
	return slices.DeleteFunc(slices.Clone(p.world.rules), func(r route.Rule) bool { return own[r.Hostname] })
}

// keep adds the records and applications at Cloudflare that stay.
func (p *play) keep(s *State, own map[string]bool) {
	for _, content := range p.world.records {
		var record record
		if json.Unmarshal(content, &record) == nil && own[record.Name] && record.Content == tunnel {
			continue
		}
		s.DNS = append(s.DNS, content)
	}
	made := map[string]bool{}
	for _, content := range s.Apps {
		var app app
		if json.Unmarshal(content, &app) == nil {
			made[app.Domain] = true
		}
	}
	for _, content := range p.world.apps {
		var app app
		if json.Unmarshal(content, &app) == nil && (made[app.Domain] || own[app.Domain] && strings.HasPrefix(app.Name, "DockFlare-")) {
			continue // of the labels before
		}
		s.Apps = append(s.Apps, content)
	}
}
