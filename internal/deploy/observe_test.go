package deploy

import (
	"testing"

	"salvor/internal/finding"
)

// TestS06NothingIsSealedForAnotherKey: hosts/alpha.pub was replaced by eve's, and
// apply committed all of alpha's seals for it.
func TestS06NothingIsSealedForAnotherKey(t *testing.T) {
	s := &Session{Keys: map[string]string{"alpha": "age1eve", "beta": "age1beta"}}
	for host, c := range map[string]struct {
		said  string
		fatal bool
	}{"alpha": {"age1alpha", true}, "beta": {"age1beta", false}, "gamma": {"age1gamma", false}} {
		found := s.otherRecipient(host, c.said)
		if finding.AnyFatal(found) != c.fatal {
			t.Errorf("%s: %v", host, found)
		}
	}
}
