package check

import (
	"salvor/internal/finding"
	"salvor/internal/fleet"
)

// tokenShown is the finding about DockFlare's tunnel: its connector gets the token as an
// argument, in each version of DockFlare, and no setting changes that.
func (c commit) tokenShown() []finding.Finding {
	if c.repo.Fleet.Ingress.Provider != fleet.IngressDockFlare {
		return nil
	}
	return []finding.Finding{{
		Code: finding.SecretExposed, Severity: finding.Warning, Subject: c.repo.Place("ingress", "provider").String(),
		Text: "DockFlare starts cloudflared with the tunnel's token as an argument: docker inspect and ps show it on its host",
		Fix:  "have Salvor publish, whose connector reads it from a file: salvor route adopt; or take those who must not have it out of the group docker there",
	}}
}

// labelsOnly are the findings about routes that DockFlare does not publish: it reads nothing
// but labels. With provider none that is meant.
func (c commit) labelsOnly() []finding.Finding {
	f := c.repo.Fleet
	if f.Ingress.Provider != fleet.IngressDockFlare {
		return nil
	}
	var all []finding.Finding
	add := func(hostname, where, fix string) {
		all = append(all, finding.Finding{Code: finding.RouteClosed, Severity: finding.Warning, Subject: where, Text: hostname + " is not published: DockFlare reads labels alone", Fix: fix})
	}
	for _, r := range f.Ingress.Routes {
		add(r.Hostname, r.Position, "make it in DockFlare, as a rule by hand")
	}
	for _, st := range f.Stacks {
		for _, r := range st.Routes {
			add(r.Hostname, r.Position, "declare it with labels of "+r.Of)
		}
	}
	return all
}
