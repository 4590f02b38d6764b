package prove

import (
	"time"

	"salvor/internal/card"
	"salvor/internal/controlrepo"
	"salvor/internal/finding"
	"salvor/internal/secret/agekey"
)

// Due is the finding about a recovery key that was never tried, or not for a year, in a
// fleet with data. file reads a file of the commit.
func Due(repo *controlrepo.Repository, file func(name string) ([]byte, error), now time.Time) ([]finding.Finding, error) {
	recovery := repo.Fleet.Recipients.Recovery
	if len(repo.Lock.Stacks) == 0 || recovery == "" {
		return nil, nil
	}
	proven, err := card.ReadProven(file)
	if err != nil {
		return nil, err
	}
	text := "the recovery key was never tried, so it is not known whether the card opens this fleet"
	if at, tried := proven[recovery]; tried {
		if now.Sub(at) < card.ProofLasts {
			return nil, nil
		}
		text = "the recovery key was last tried on " + at.Format(time.DateOnly)
	}
	return []finding.Finding{{Code: finding.KeyUnproven, Severity: finding.Warning, Subject: agekey.RecoveryPath, Text: text, Fix: "salvor key prove --identity CARD, with the card's text in a file"}}, nil
}
