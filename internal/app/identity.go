package app

import (
	"fmt"
	"slices"

	"salvor/internal/finding"
	"salvor/internal/secret/agekey"
)

// identityFindings report how the file of the present identity is protected: readable
// by others, or an operator's without a passphrase. The recovery card is unencrypted
// by its nature. A file that can't be looked at has no findings: who opens it says
// why.
func (a *App) identityFindings() []finding.Finding {
	path, err := identityPath(a.opts.Identity, a.Checkout.Fleet.Name)
	if err != nil {
		return nil
	}
	at, err := agekey.Look(path)
	if err != nil {
		return nil
	}
	var found []finding.Finding
	if at.Exposed() {
		found = append(found, finding.Finding{Code: finding.IdentityExposed, Severity: finding.Warning, Subject: path,
			Text: fmt.Sprintf("other users can read or write it (mode %04o), and its key opens everything", at.Mode), Fix: "chmod 600 " + path})
	}
	if len(at.InClear) > 0 && !slices.Contains(at.InClear, a.Checkout.Fleet.Recipients.Recovery) {
		found = append(found, finding.Finding{Code: finding.IdentityInClear, Severity: finding.Warning, Subject: path,
			Text: "its key has no passphrase: anyone who gets the file can open everything", Fix: "salvor key rotate makes a key with a passphrase"})
	}
	return found
}
