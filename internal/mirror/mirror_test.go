package mirror

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/confirmation"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/sealing"
	"salvor/internal/secret/agekey"
)

// TestWhatIsCommittedReachesTheMirror is fault D21: a command that commits renews the
// mirror at its end, or says that it is behind if no one should be asked for a
// passphrase; then the next apply renews it, whether anything else is to do or not.
func TestWhatIsCommittedReachesTheMirror(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	c := h.open()
	set := h.Encrypt(t, "token", "another")
	if err := c.checkout.CommitFiles(t.Context(), set, "secret set"); err != nil {
		t.Fatal(err)
	}
	if err := c.RenewCommitted(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	h.atMirror("secret set", string(c.checkout.Commit))

	before, locked := string(c.checkout.Commit), h.open()
	if err := locked.checkout.CommitFiles(t.Context(), h.Encrypt(t, "token", "a third"), "secret set"); err != nil {
		t.Fatal(err)
	}
	if err := locked.RenewCommitted(t.Context(), false); !errors.Is(err, ErrBehind) || locked.identity.Unlocked() {
		t.Errorf("no one unlocked the key: %v", err)
	}
	h.atMirror("without the key", before)
	h.renew()
	h.atMirror("apply", string(locked.checkout.Commit))
}

// TestTheMirrorIsAskedOncePerCommit is fault D21: a command that committed nothing
// asks no remote, nor does an apply of what this clone saw mirrored.
func TestTheMirrorIsAskedOncePerCommit(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	h.renew()
	h.gone()
	c := h.open()
	if err := errors.Join(c.RenewCommitted(t.Context(), true), c.Renew(t.Context())); err != nil {
		t.Errorf("the remote was asked: %v", err)
	}
	h.note(c, "x")
	if err := c.RenewCommitted(t.Context(), true); !errors.Is(err, ErrBehind) {
		t.Errorf("a remote that is gone: %v", err)
	}
	if head, err := c.checkout.Git.Head(t.Context()); err != nil || c.checkout.Commit != head {
		t.Errorf("the commit stays: %v, %v", head, err)
	}
}

// TestS01NothingIsSentUnasked opens the record, seals and makes the card without
// anyone who could approve the remote.
func TestS01NothingIsSentUnasked(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	o := h.OpenKeys(t, h.Identity, confirmation.Options{})
	approvals, err := o.Checkout.Git.OwnFile("remotes")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(approvals); err != nil {
		t.Fatal(err) // what the fleet was made with
	}
	c := h.of(o)
	if _, err := c.record.Epoch(t.Context(), "notes"); !errors.Is(err, confirmation.ErrUnapproved) {
		t.Errorf("the record: %v", err)
	}
	if _, err := c.Card(t.Context()); !errors.Is(err, confirmation.ErrUnapproved) {
		t.Errorf("the card: %v", err)
	}
	for _, r := range o.Checkout.Fleet.Remotes {
		if _, err := sealing.New(o.Checkout, o.Needs, o.Confirmed, o.FleetKeys, nil).Remote(t.Context(), r); !errors.Is(err, confirmation.ErrUnapproved) {
			t.Errorf("the seal: %v", err)
		}
	}
}

// TestAMirrorThatIsThereIsLeftAlone, also by a clone that does not know of it.
func TestAMirrorThatIsThereIsLeftAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	h.renew()
	before := files(t, h.disk)
	if err := os.Remove(filepath.Join(h.Dir, ".git/salvor", mirroredFile)); err != nil {
		t.Fatal(err)
	}
	h.renew()
	if after := files(t, h.disk); !maps.Equal(before, after) || len(before) == 0 {
		t.Errorf("the remote has %v, had %v", after, before)
	}
	if noted, err := os.ReadFile(filepath.Join(h.Dir, ".git/salvor", mirroredFile)); err != nil || !strings.Contains(string(noted), string(h.open().checkout.Commit)) {
		t.Errorf("noted %q, %v", noted, err)
	}
}

// files are those below a folder, each with the time of its last change.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all[path] = info.ModTime().String()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestNothingIsMirroredBeforeTheFirstPlacement, and nothing without a record remote.
func TestNothingIsMirroredBeforeTheFirstPlacement(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	h.gone()
	bare := h.open()
	bare.checkout.Fleet.Record = fleet.Location{}
	if err := bare.Renew(t.Context()); err != nil {
		t.Errorf("without a remote: %v", err)
	}
	if err := h.open().Renew(t.Context()); !errors.Is(err, ErrBehind) {
		t.Errorf("a placed stack: %v", err)
	}
	h.place(nil)
	if err := h.open().Renew(t.Context()); err != nil {
		t.Errorf("with nothing placed: %v", err)
	}
}

// TestALaterCommitIsMirroredByTheCommandThatMadeIt, and not by an earlier one at its end.
func TestALaterCommitIsMirroredByTheCommandThatMadeIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	first := h.renew()
	c := h.open()
	h.note(c, "mine")
	h.note(h.open(), "of another command")
	if err := c.RenewCommitted(t.Context(), true); err != nil {
		t.Error(err)
	}
	h.atMirror("the earlier command", first)
}

// TestACloneThatTrustsNoKeyDoesNotMirror at the end of a command: it is not asked then.
func TestACloneThatTrustsNoKeyDoesNotMirror(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	first := h.renew()
	pins, err := h.open().checkout.Git.OwnFile("fleet_signers")
	if err != nil {
		t.Fatal(err)
	}
	pinned, err := os.ReadFile(pins)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(pins); err != nil {
		t.Fatal(err)
	}
	c := h.open()
	h.note(c, "mine")
	if err := c.RenewCommitted(t.Context(), true); !errors.Is(err, ErrBehind) || fault.Hint(err) != "salvor key trust" {
		t.Errorf("%v (%s)", err, fault.Hint(err))
	}
	if err := os.WriteFile(pins, pinned, 0o600); err != nil {
		t.Fatal(err)
	}
	h.atMirror("untrusted", first)
}

// TestAnOlderMirrorServesWhereTheNewestIsDamaged: the newest is named, and nothing of it is taken.
func TestAnOlderMirrorServesWhereTheNewestIsDamaged(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	older := h.renew()
	h.note(h.open(), "newer")
	newer := h.renew()
	all := h.mirrors()
	if len(all) != 2 || all[0].Commit != newer {
		t.Fatalf("mirrors %+v", all)
	}
	for _, damage := range []string{strings.Repeat("x", int(h.size(all[0].Path()))), "cut off"} {
		h.put(all[0].Path(), damage)
		m, found, err := h.open().Newest(t.Context())
		if err != nil || m.Commit != older || len(found) != 1 || found[0].Code != finding.MirrorUntrusted || found[0].Subject != all[0].Path() {
			t.Errorf("%+v, %+v, %v", m, found, err)
		}
	}
	h.notes = nil
	if err := h.open().Mirror(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(h.notes, "\n"); !strings.Contains(text, "warning: ") || !strings.Contains(text, all[0].Path()) {
		t.Errorf("noted %q", text)
	}
	h.atMirror("made again", newer)
}

// TestNoReadableMirrorIsAnError, and none at all is not.
func TestNoReadableMirrorIsAnError(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	if m, found, err := h.open().Newest(t.Context()); err != nil || m.Commit != "" || len(found) != 0 {
		t.Errorf("none: %+v, %+v, %v", m, found, err)
	}
	h.renew()
	path := h.mirrors()[0].Path()
	access, err := h.card().Access()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	if m, bundle, _, err := Fetch(t.Context(), stranger, access); err == nil || m.Commit != "" || !bundle.IsZero() || !strings.Contains(err.Error(), "there is no readable mirror") || !strings.Contains(err.Error(), path) {
		t.Errorf("to a stranger: %+v, %v", m, err)
	}
	if m, bundle, unread, err := Fetch(t.Context(), h.Ann, access); err != nil || m.Path() != path || bundle.IsZero() || len(unread) != 0 {
		t.Errorf("to ann: %+v, %+v, %v", m, unread, err)
	}
}
