package app

import (
	"testing"

	"salvor/internal/prune"
)

// TestPruneFindsTheRepositories of every stack, with the operator's own credentials.
func TestPruneFindsTheRepositories(t *testing.T) {
	k := newKeyed(t)
	p, err := prune.Prepare(t.Context(), k.open(k.ann).ForPrune())
	if err != nil || p.Plan != "notes on offsite: no snapshot was ever taken there\n" {
		t.Errorf("%+v, %v", p, err)
	}
}
