package sealing

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/seal"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

// TestNewTargetOnAUsedRemoteIsSealed is fault D8: a target declared on a remote that
// the seal had already got neither a repository nor a snapshot.
func TestNewTargetOnAUsedRemoteIsSealed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sealer()
	h.seal(s, nil)
	if why := h.why(s); why != "" {
		t.Fatalf("out of date at once: %s", why)
	}
	first := h.lock.Stacks["notes"].Repositories["offsite"]
	h.config("every: 15m}]", "every: 15m}, {name: second, remote: box, path: two, every: 1h}]")
	s = h.sealer()
	if why := h.why(s); why != "no repository on second yet" {
		t.Fatalf("a new target: %q", why)
	}
	h.seal(s, nil)
	if got := h.lock.Stacks["notes"].Repositories; got["second"] == "" || got["offsite"] != first || len(h.passwords()) != 2 {
		t.Errorf("sealed with %v after %s", got, first)
	}
	if why := h.why(s); why != "" {
		t.Errorf("sealed again and out of date: %s", why)
	}
}

// TestARepositoryKeepsItsPassword: a seal that is made again gives the host the same
// repository, and the recovery file is not written again.
func TestARepositoryKeepsItsPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	files := h.seal(h.sealer(), nil)
	if files[seal.RecoveryPath("notes")] == nil {
		t.Fatal("the first seal has no recovery file")
	}
	before, first := h.passwords(), h.sealed()
	if diff := cmp.Diff(before, texts(first.Repositories)); diff != "" || len(before) != 1 {
		t.Errorf("the host gets other passwords than the recovery file has (-recovery +host)\n%s", diff)
	}
	files = h.seal(h.sealer(), nil)
	if _, written := files[seal.RecoveryPath("notes")]; written {
		t.Error("the recovery file was written again")
	}
	if diff := cmp.Diff(texts(first.Repositories), texts(h.sealed().Repositories)); diff != "" {
		t.Errorf("another password (-first +second)\n%s", diff)
	}
	location := "box:snapshots/notes/" + h.lock.Stacks["notes"].Repositories["offsite"]
	r, err := h.sealer().Recovery("notes")
	if err != nil || r.Stack != "notes" || len(r.Repositories) != 1 || r.Repositories[0].Location != location || r.Repositories[0].Target != "offsite" {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestWhatTheOperatorWantsOfAnEarlierRepository: a stack that comes back under its name is
// given another repository, or, to restore, all those that the name ever had.
func TestWhatTheOperatorWantsOfAnEarlierRepository(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.seal(h.sealer(), nil)
	one := h.lock.Stacks["notes"].Repositories["offsite"]

	h.seal(h.sealer(), map[string]project.Consent{"notes": project.ConsentFresh})
	p := h.lock.Stacks["notes"]
	two := p.Repositories["offsite"]
	if two == one || len(p.Former) != 0 {
		t.Errorf("to start fresh: %v, formerly %v", p.Repositories, p.Former)
	}
	if got := slices.Sorted(maps.Keys(h.sealed().Repositories)); !slices.Equal(got, []string{two}) {
		t.Errorf("a fresh start gives the host %v, want %s", got, two)
	}
	if kept := h.passwords(); kept[one] == "" || kept[two] == "" || kept[one] == kept[two] {
		t.Errorf("the recovery file has the passwords of %v", slices.Sorted(maps.Keys(kept)))
	}

	h.lock.Stacks["notes"] = fleet.Placement{Host: "alpha", Epoch: 2} // dropped, and declared again
	h.seal(h.sealer(), map[string]project.Consent{"notes": project.ConsentRestore})
	p = h.lock.Stacks["notes"]
	if p.Repositories["offsite"] != two || !slices.Equal(p.Former["offsite"], []string{one}) {
		t.Errorf("to restore: %v, formerly %v", p.Repositories, p.Former)
	}
	if diff := cmp.Diff(h.passwords(), texts(h.sealed().Repositories)); diff != "" {
		t.Errorf("the host can't read all (-recovery +host)\n%s", diff)
	}

	h.lock.Stacks["notes"] = fleet.Placement{Host: "alpha", Epoch: 3}
	h.seal(h.sealer(), nil)
	if p := h.lock.Stacks["notes"]; p.Repositories["offsite"] == one || p.Repositories["offsite"] == two || len(p.Former) != 0 {
		t.Errorf("nothing was said: %v, formerly %v", p.Repositories, p.Former)
	}
}

// TestARestoreOfWhatNeverWas makes a repository as if nothing was said.
func TestARestoreOfWhatNeverWas(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.seal(h.sealer(), map[string]project.Consent{"notes": project.ConsentRestore})
	if p := h.lock.Stacks["notes"]; p.Repositories["offsite"] == "" || len(p.Former) != 0 || len(h.passwords()) != 1 {
		t.Errorf("%v, formerly %v", p.Repositories, p.Former)
	}
}

// TestARepositoryWithoutAPasswordIsNotSealed: its host could only fail with it.
func TestARepositoryWithoutAPasswordIsNotSealed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.lock.Stacks["notes"] = fleet.Placement{Host: "alpha", Epoch: 1, Repositories: map[string]string{"offsite": "0badc0de"}}
	files, _, err := h.sealer().Seal(t.Context(), h.lock, []string{"notes"}, nil)
	if err == nil || !strings.Contains(err.Error(), "sealed/recovery/notes.age has no password of repository 0badc0de") || !strings.HasPrefix(err.Error(), "seal notes for alpha: ") || files != nil {
		t.Errorf("%d files, %v", len(files), err)
	}
}

// TestS07PasswordsThatTheFleetHasNotSignedAreNotOpened: neither shown nor built upon.
func TestS07PasswordsThatTheFleetHasNotSignedAreNotOpened(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.seal(h.sealer(), nil)
	forged, err := agekey.Encrypt(h.Recovery.Secret, h.Recovery.Recipient)
	if err != nil {
		t.Fatal(err)
	}
	h.Commit(t, h.made)
	h.Commit(t, map[string][]byte{seal.RecoveryPath("notes"): forged, agekey.RecoveryPath: forged})
	h.made = nil
	if _, err := h.sealer().Recovery("notes"); !errors.Is(err, sign.ErrUntrusted) {
		t.Errorf("passwords that the fleet has not signed: %v", err)
	}
	if _, _, err := h.sealer().Seal(t.Context(), h.lock, []string{"notes"}, nil); !errors.Is(err, sign.ErrUntrusted) {
		t.Errorf("a seal with passwords that the fleet has not signed: %v", err)
	}
	if _, err := h.open().FleetKeys.Recovery(); !errors.Is(err, sign.ErrUntrusted) {
		t.Errorf("a recovery key that the fleet has not signed: %v", err)
	}
	if r, err := h.sealer().Recovery("blog"); err != nil || r.Stack != "blog" || len(r.Repositories) != 0 {
		t.Errorf("a stack that never had any: %+v, %v", r, err)
	}
}
