package agent

import (
	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/seal"
)

// sealFindings are about seals that the fleet's key has not signed: somebody put them
// there who can push.
func (h *Host) sealFindings(spec agentapi.Host) []finding.Finding {
	trusted, err := h.base().Trusted()
	var found []finding.Finding
	for _, st := range spec.Stacks {
		file := seal.Placement{Host: spec.Name, Stack: st.Name}.Path()
		failed := err
		if failed == nil && len(st.Sealed) > 0 {
			failed = here.SealOf(st).Check(file, trusted)
		}
		if failed != nil && len(st.Sealed) > 0 {
			found = append(found, finding.Finding{Code: finding.SealUntrusted, Severity: finding.Warning, Subject: spec.Name + "/" + st.Name, Stack: st.Name,
				Text: "the host does not open its secrets: " + failed.Error(), Fix: here.UntrustedFix(file)})
		}
	}
	return found
}
