package check

import (
	"strings"

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

// unpublished is the finding about hostnames that are declared while fleet.yaml does not say
// whose account and token they are published with.
func (c commit) unpublished() []finding.Finding {
	i := c.repo.Fleet.Ingress
	declared := len(i.Routes)
	for _, r := range c.stacks {
		declared += len(r.Project.Routes)
	}
	if !i.Publishes() || i.Complete() || declared == 0 {
		return nil
	}
	var missing []string
	if i.Account == "" {
		missing = append(missing, "ingress.account")
	}
	if i.Token.IsZero() {
		missing = append(missing, "ingress.token")
	}
	return []finding.Finding{{
		Code: finding.IngressUnset, Severity: finding.Warning, Subject: c.repo.Place("ingress", "provider").String(),
		Text: "hostnames are declared and not published: it has no " + strings.Join(missing, " and no "),
		Fix:  "salvor secret set cloudflare, then ingress: {account: ID, token: secret:cloudflare}",
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
