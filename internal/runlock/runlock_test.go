package runlock

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestSecondRunIsToldWhoHoldsTheLock(t *testing.T) {
	dir := t.TempDir()
	first := Holder{Owner: "alice@laptop", Message: "apply 1a2b3c4", Since: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	lock, err := Acquire(dir, "host", first)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Acquire(dir, "host", Holder{Owner: "bob"})
	var held *HeldError
	if !errors.As(err, &held) || !cmp.Equal(held.Holder, first) {
		t.Fatalf("second run got %v", err)
	}
	if want := "host is locked by alice@laptop since 2026-11-23T12:00:00Z: apply 1a2b3c4"; held.Error() != want {
		t.Errorf("got %q, want %q", held.Error(), want)
	}
	if _, err := Acquire(dir, "notes", Holder{Owner: "bob"}); err != nil {
		t.Errorf("another name is locked too: %v", err)
	}
	if got, held := Held(dir, "host"); !held || !cmp.Equal(got, first) {
		t.Errorf("held %t by %+v", held, got)
	}
	if got, held := Held(dir, "other"); held {
		t.Errorf("a lock that never was is held by %+v", got)
	}
	lock.Release()
	lock.Release()
	if got, held := Held(dir, "host"); held {
		t.Errorf("a released lock is held by %+v", got)
	}
	again, err := Acquire(dir, "host", Holder{Owner: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
}

// TestAChildThatIsBeingStartedHoldsNothing has a copy of the lock's descriptor open, as a
// child has between its fork and its exec.
func TestAChildThatIsBeingStartedHoldsNothing(t *testing.T) {
	dir := t.TempDir()
	lock, err := Acquire(dir, "host", Holder{})
	if err != nil {
		t.Fatal(err)
	}
	inherited, err := unix.Dup(int(lock.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(inherited)
	lock.Release()
	lock.Release()
	again, err := Acquire(dir, "host", Holder{})
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
}
