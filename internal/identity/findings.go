package identity

import (
	"fmt"
	"slices"

	"salvor/internal/finding"
	"salvor/internal/secret/agekey"
)

// Path is the file that holds the identity in use.
func (id *Identity) Path() (string, error) {
	return PathOf(id.opts.Identity, id.checkout.Fleet.Name)
}

// Findings are about the file that holds the identity in use: others can read it, or it
// is an operator's in plain text. The recovery card is unencrypted by its nature. A file
// that can't be examined has no findings: opening it reports why.
func (id *Identity) Findings() []finding.Finding {
	path, err := id.Path()
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
	if len(at.InClear) > 0 && !slices.Contains(at.InClear, id.checkout.Fleet.Recipients.Recovery) {
		found = append(found, finding.Finding{Code: finding.IdentityInClear, Severity: finding.Warning, Subject: path,
			Text: "its key has no passphrase: anyone who gets the file can open everything", Fix: "salvor key rotate makes a key with a passphrase"})
	}
	return found
}
