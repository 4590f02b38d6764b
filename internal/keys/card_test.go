package keys

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/fault"
	"salvor/internal/git"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

// card writes the recovery key as the identity file that the card is.
func (k *keyed) card() string {
	k.t.Helper()
	path := filepath.Join(k.t.TempDir(), "card.txt")
	if err := agekey.Create(path, k.recovery(), secret.Value{}, 0); err != nil {
		k.t.Fatal(err)
	}
	return path
}

// TestTheCardMakesAnOperator is fault D4: after a total loss the card alone grants
// a new key, which then does all that an operator does, the removal of the lost key
// and another card among it.
func TestTheCardMakesAnOperator(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	card, old := k.card(), k.recovery()
	if key, err := k.open(card).FleetKeys.Recovery(); err != nil || key.Recipient != old.Recipient {
		t.Fatalf("the card shows %s, %v", key.Recipient, err)
	}
	mine := filepath.Join(t.TempDir(), "mine.age")
	made, err := prepared(k.open(mine).Keys.PrepareNew(secret.Value{}))(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := prepared(k.open(card).Keys.PrepareGrant("me", made.Recipient))(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.opensAll("the new operator", ringOf(t, mine, ""))
	if _, err := prepared(k.open(mine).Keys.PrepareRevoke("ann"))(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.ann = mine
	k.opensNothing("the old card", old)
}

// TestTheCardReplacesNoKeyItCannotShow is fault D4: nothing is committed and no
// file is made, and the hint names the way.
func TestTheCardReplacesNoKeyItCannotShow(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	k.grant("bob")
	card, head := k.card(), k.open(k.ann).Commit()
	_, revokeErr := prepared(k.open(card).Keys.PrepareRevoke("bob"))(t.Context())
	_, recoveryErr := k.open(card).Keys.PrepareRotateRecovery(false).Run(t.Context(), nil)
	_, ownErr := rotate(t.Context(), k.open(card), false)
	for what, err := range map[string]error{"secret revoke": revokeErr, "key rotate --recovery": recoveryErr, "key rotate": ownErr} {
		if err == nil || !strings.Contains(fault.Hint(err), "secret grant NAME RECIPIENT") {
			t.Errorf("%s with the card: %v (%s)", what, err, fault.Hint(err))
		}
	}
	if got := k.open(k.ann).Commit(); got != head {
		t.Error("a refused rotation committed something")
	}
	if _, err := os.Stat(newKeyPath(card)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key was made beside the card: %v", err)
	}
}

// TestNoRecoveryKeyWithoutItsPush is fault D4: while the Git host is down the
// recovery key stays what it was, and the card with it.
func TestNoRecoveryKeyWithoutItsPush(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	k.away()
	card, head, old := k.card(), k.open(k.ann).Commit(), k.recovery()
	for _, compromised := range []bool{false, true} {
		_, err := k.open(k.ann).Keys.PrepareRotateRecovery(compromised).Run(t.Context(), nil)
		if !errors.Is(err, git.ErrGitAway) || !strings.Contains(fault.Hint(err), "git remote set-url") {
			t.Errorf("%v (%s)", err, fault.Hint(err))
		}
	}
	if _, err := prepared(k.open(k.ann).Keys.PrepareRevoke("ann"))(t.Context()); err == nil {
		t.Error("the only operator was removed")
	}
	if a := k.open(card); a.Commit() != head || a.Fleet().Recipients.Recovery != old.Recipient {
		t.Errorf("the recovery key is another one at %s, after %s", a.Commit(), head)
	}
	k.opensSecrets("the card", old)
}

// TestWhatIsNotPushedIsSaid is fault D4: a grant while the Git host is down stays
// committed here, and the error says so and how it is pushed.
func TestWhatIsNotPushedIsSaid(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	k.away()
	bob := newKey(t)
	_, err := prepared(k.open(k.card()).Keys.PrepareGrant("bob", bob.Recipient))(t.Context())
	if !errors.Is(err, git.ErrGitAway) || !strings.Contains(err.Error(), "committed here") || !strings.Contains(fault.Hint(err), "git push") {
		t.Errorf("%v (%s)", err, fault.Hint(err))
	}
	k.opensAll("bob", bob)
}

// away gives the repository a Git host that does not answer.
func (k *keyed) away() {
	k.t.Helper()
	out, err := exec.CommandContext(k.t.Context(), "git", "-C", k.Dir, "remote", "add", "origin", filepath.Join(k.Dir, "gone.git")).CombinedOutput()
	if err != nil {
		k.t.Fatalf("%s: %v", out, err)
	}
}
