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
	"salvor/internal/seal"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

// TestS07APushedSealIsSealedAgain: a seal that the fleet has not signed is not current,
// the plan says why, and passwords of repositories that it has not signed are not
// opened.
func TestS07APushedSealIsSealedAgain(t *testing.T) {
	k := newKeyed(t)
	a := k.open(k.ann)
	where := seal.Placement{Host: "alpha", Stack: "notes", Epoch: 1}.Path()
	good, err := a.Needs.Signed(where)
	if err != nil {
		t.Fatal(err)
	}
	k.commit(map[string][]byte{where: append([]byte("\n"), good.File...)})
	a = k.open(k.ann)
	stale, err := a.sealer().Stale(t.Context(), a.Lock())
	if err != nil || !strings.Contains(stale["notes"], where) || !strings.Contains(stale["notes"], sign.ErrUntrusted.Error()) && !strings.Contains(stale["notes"], "signature") {
		t.Errorf("stale is %v, %v", stale, err)
	}
	k.place()
	if stale, err := k.open(k.ann).sealer().Stale(t.Context(), k.open(k.ann).Lock()); err != nil || len(stale) > 0 {
		t.Errorf("sealed again and out of date: %v, %v", stale, err)
	}

	recovery := seal.RecoveryPath("notes")
	forged, err := agekey.Encrypt(k.recovery().Secret, k.recovery().Recipient)
	if err != nil {
		t.Fatal(err)
	}
	k.commit(map[string][]byte{recovery: forged, agekey.RecoveryPath: forged})
	a = k.open(k.ann)
	if _, err := a.sealer().Recovery(t.Context(), "notes"); !errors.Is(err, sign.ErrUntrusted) {
		t.Errorf("passwords that the fleet has not signed: %v", err)
	}
	if _, err := a.FleetKeys.Recovery(t.Context()); !errors.Is(err, sign.ErrUntrusted) {
		t.Errorf("a recovery key that the fleet has not signed: %v", err)
	}
}

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
