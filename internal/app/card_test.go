package app

import (
	"path/filepath"
	"testing"

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
// a new key, which then makes another card.
func TestTheCardMakesAnOperator(t *testing.T) {
	k := newKeyed(t)
	mine := filepath.Join(t.TempDir(), "mine.age")
	made, err := prepared(k.open(mine).Keys.PrepareNew(secret.Value{}))(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := prepared(k.open(k.card()).Keys.PrepareGrant("me", made.Recipient))(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := prepared(k.open(mine).Keys.PrepareRevoke("ann"))(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.opensAll(mine)
	if _, err := k.open(mine).Mirrors.Card(t.Context()); err != nil {
		t.Errorf("another card: %v", err)
	}
}
