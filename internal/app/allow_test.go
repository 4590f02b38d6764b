package app

import (
	"errors"
	"os"
	"testing"

	"salvor/internal/confirmation"
	"salvor/internal/progress"
)

// approveAll is an operator who says yes to everything.
func approveAll(confirmation.Approval) error { return nil }

// askedBy opens the newest commit for an operator who notes what they are asked and
// answers with err; nil means that no one can be asked.
func (k *keyed) askedBy(approve func(confirmation.Approval) error) *App {
	k.t.Helper()
	a, err := Open(k.t.Context(), Options{Dir: k.dir, Identity: k.ann, Sink: progress.Discard(), Work: quickWork, Approve: approve})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = a.Close() })
	return a
}

// TestS01NothingIsSentUnasked opens the record, seals and makes the card without
// anyone who could approve the remote.
func TestS01NothingIsSentUnasked(t *testing.T) {
	k := newKeyed(t)
	a := k.askedBy(nil)
	approvals, err := a.Checkout.Git.OwnFile(t.Context(), "remotes")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(approvals); err != nil {
		t.Fatal(err) // what the fleet was made with
	}
	if _, err := a.Record.Epoch(t.Context(), "notes"); !errors.Is(err, confirmation.ErrUnapproved) {
		t.Errorf("the record: %v", err)
	}
	if _, err := a.Mirrors.Card(t.Context()); !errors.Is(err, confirmation.ErrUnapproved) {
		t.Errorf("the card: %v", err)
	}
	for _, r := range a.Checkout.Fleet.Remotes {
		if _, err := a.sealer().Remote(t.Context(), r); !errors.Is(err, confirmation.ErrUnapproved) {
			t.Errorf("the seal: %v", err)
		}
	}
}
