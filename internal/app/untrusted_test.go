package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/mirror"
	"salvor/internal/secret/agekey"
)

// TestS02OnlyTheFleetsMirrorRebuildsIt: what a host can write to the remote is
// reported and ignored by clone and prove, and nothing is taken that this clone never
// had.
func TestS02OnlyTheFleetsMirrorRebuildsIt(t *testing.T) {
	k := newKeyed(t)
	if err := k.open(k.ann).Mirrors.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := k.open(k.ann)
	made, err := a.Mirrors.Card(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	forged, err := agekey.Encrypt(k.recovery().Secret, k.recovery().Recipient)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := a.Record.Open(t.Context(), fleet.Location{Remote: a.Fleet().Record.Remote, Path: a.Fleet().Record.Path})
	if err != nil {
		t.Fatal(err)
	}
	const junk = "mirror/99999999-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bundle.age"
	_, err = folder.Put(t.Context(), junk, strings.NewReader(string(forged)), int64(len(forged)))
	if err := errors.Join(err, folder.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "back")
	clone, err := mirror.CloneByCard(t.Context(), made, dir)
	if err != nil || !strings.Contains(clone.From, "Olga <olga@example.net>") || !strings.Contains(clone.From, a.Commit()[:7]) {
		t.Fatalf("from %q: %v", clone.From, err)
	}
	if len(clone.Notes) != 1 || !strings.Contains(clone.Notes[0], junk) {
		t.Errorf("notes %q", clone.Notes)
	}
	if _, err := os.Stat(filepath.Join(dir, "fleet.yaml")); err != nil {
		t.Error(err)
	}
	if m, found, err := a.Mirrors.Newest(t.Context()); err != nil || m.Commit != a.Commit() || len(found) != 1 || found[0].Code != finding.MirrorUntrusted {
		t.Errorf("%+v, %+v, %v", m, found, err)
	}
}
