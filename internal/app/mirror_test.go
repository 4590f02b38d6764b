package app

import (
	"errors"
	"os"
	"testing"

	"salvor/internal/git"
	"salvor/internal/mirror"
	"salvor/internal/secret"
)

// atMirror fails unless the newest mirror is of this commit.
func (k *keyed) atMirror(what, want string) {
	k.t.Helper()
	if m, _, err := k.open(k.ann).Mirrors.Newest(k.t.Context()); err != nil || m.Commit != want {
		k.t.Errorf("%s: the mirror is of commit %q, want %q: %v", what, m.Commit, want, err)
	}
}

// TestWhatIsCommittedReachesTheMirror is fault D21: a command that commits renews the
// mirror at its end, or says that it is behind if no one should be asked for a
// passphrase; then the next apply renews it, whether anything else is to do or not.
func TestWhatIsCommittedReachesTheMirror(t *testing.T) {
	k := newKeyed(t)
	a := k.open(k.ann)
	if _, err := prepared(a.Secrets.PrepareSet(t.Context(), "token", secret.NewString("another")))(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Mirrors.RenewCommitted(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	k.atMirror("secret set", a.Commit())

	before, locked := a.Commit(), k.open(k.ann)
	if _, err := prepared(locked.Secrets.PrepareSet(t.Context(), "token", secret.NewString("a third")))(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := locked.Mirrors.RenewCommitted(t.Context(), false); !errors.Is(err, mirror.ErrBehind) {
		t.Errorf("nobody unlocked the key: %v", err)
	}
	k.atMirror("without the key", before)
	if err := k.open(k.ann).Mirrors.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.atMirror("apply", locked.Commit())
}

// TestTheMirrorIsAskedOncePerCommit is fault D21: a command that committed nothing
// asks no remote, nor does an apply of what this clone saw mirrored.
func TestTheMirrorIsAskedOncePerCommit(t *testing.T) {
	k := newKeyed(t)
	if err := k.open(k.ann).Mirrors.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(k.disk); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(k.disk, nil, 0o600); err != nil { // the remote is gone
		t.Fatal(err)
	}
	a := k.open(k.ann)
	if err := errors.Join(a.Mirrors.RenewCommitted(t.Context(), true), a.Mirrors.Renew(t.Context())); err != nil {
		t.Errorf("the remote was asked: %v", err)
	}
	if err := a.Checkout.CommitFiles(t.Context(), map[string][]byte{"note.txt": []byte("x")}, "test"); err != nil {
		t.Fatal(err)
	}
	if err := a.Mirrors.RenewCommitted(t.Context(), true); !errors.Is(err, mirror.ErrBehind) {
		t.Errorf("a remote that is gone: %v", err)
	}
	if head, err := a.Checkout.Git.Head(t.Context()); err != nil || git.Commit(a.Commit()) != head {
		t.Errorf("the commit stays: %v, %v", head, err)
	}
}
