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
