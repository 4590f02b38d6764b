package identity

import (
	"fmt"
	"slices"

	"salvor/internal/finding"
	"salvor/internal/secret/agekey"
)

// Findings say how the file lies there that holds the identity at hand: open
// to others, or an operator's in clear. The recovery card is in clear by its nature.
// A file that can't be looked at has no findings: who opens it says why.
func (id *Identity) Findings() []finding.Finding {
	path, err := PathOf(id.opts.Identity, id.checkout.Fleet.Name)
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
			Text: fmt.Sprintf("others may read or write it (mode %04o), and it holds a key that opens everything", at.Mode), Fix: "chmod 600 " + path})
	}
	if len(at.InClear) > 0 && !slices.Contains(at.InClear, id.checkout.Fleet.Recipients.Recovery) {
		found = append(found, finding.Finding{Code: finding.IdentityInClear, Severity: finding.Warning, Subject: path,
			Text: "the key in it has no passphrase: who gets the file opens everything", Fix: "salvor key rotate makes a key with a passphrase"})
	}
	return found
}
