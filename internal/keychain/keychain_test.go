package keychain

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/keychain/keychaintest"
	"salvor/internal/secret"
)

// TestTheKeychainKeepsWhatItIsGiven, for each account its own, until it is deleted.
func TestTheKeychainKeepsWhatItIsGiven(t *testing.T) {
	service := keychaintest.Start(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", service.Address)
	ctx, k := t.Context(), System{}
	if _, err := k.Get(ctx, "me.age"); !errors.Is(err, ErrNone) || !k.There() {
		t.Errorf("before: there %v, %v", k.There(), err)
	}
	for _, value := range []string{"first", "correct horse"} {
		if err := errors.Join(k.Set(ctx, "me.age", secret.NewString(value)), k.Set(ctx, "other.age", secret.NewString("another"))); err != nil {
			t.Fatal(err)
		}
		if got, err := k.Get(ctx, "me.age"); err != nil || string(got.Reveal()) != value {
			t.Errorf("%q, %v", got.Reveal(), err)
		}
	}
	if diff := cmp.Diff(map[string]string{"me.age": "correct horse", "other.age": "another"}, service.Values()); diff != "" {
		t.Error(diff)
	}
	if err := errors.Join(k.Delete(ctx, "me.age"), k.Delete(ctx, "me.age")); err != nil {
		t.Error(err)
	}
	if _, err := k.Get(ctx, "me.age"); !errors.Is(err, ErrNone) {
		t.Errorf("afterwards: %v", err)
	}
	interrupted, cancel := context.WithCancel(ctx)
	cancel()
	if err := within(interrupted, func() error { select {} }); !errors.Is(err, context.Canceled) {
		t.Errorf("one that does not answer: %v", err)
	}
}

// TestWithoutASessionThereIsNone, and no bus is started to look for one.
func TestWithoutASessionThereIsNone(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "autolaunch:")
	if there() {
		return // of the person who runs this test
	}
	if err := (System{}).Set(t.Context(), "me.age", secret.NewString("x")); err == nil {
		t.Error("something keeps it")
	}
}
