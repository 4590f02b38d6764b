package audit

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/checkout"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/record"
)

// TestWhatACommandDecryptedIsInTheJournal, once, and nothing of it stays in the clone.
func TestWhatACommandDecryptedIsInTheJournal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	j := h.journals()
	if err := j.Journal(t.Context(), "status"); err != nil {
		t.Fatal(err)
	}
	h.opens(j)
	if err := j.Journal(t.Context(), "secret show token"); err != nil {
		t.Fatal(err)
	}
	entries := h.entries()
	if len(entries) != 1 {
		t.Fatalf("entries %+v", entries)
	}
	e := entries[0]
	if e.Command != "secret show token" || !strings.HasPrefix(e.Operator, "ann (") || e.Commit != string(j.checkout.Commit) || !slices.Contains(e.Opened, "token") {
		t.Errorf("noted %+v", e)
	}
	if left := h.waiting(); len(left) != 0 {
		t.Errorf("still waiting: %v", left)
	}
	if again := j.identity.Trail.Take(); slices.Contains(again, "token") {
		t.Errorf("the next entry has it again: %v", again)
	}
}

// TestAnEntryWaitsForTheRemote: the next one that is sent takes it along.
func TestAnEntryWaitsForTheRemote(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	back := h.away()
	j := h.journals()
	h.opens(j)
	if err := j.Journal(t.Context(), "first"); !errors.Is(err, ErrUnsent) {
		t.Errorf("a remote that is away: %v", err)
	}
	kept := h.waiting()
	if len(kept) != 1 {
		t.Fatalf("waiting: %v", kept)
	}
	if info, err := os.Stat(kept[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	back()
	j = h.journals()
	if err := j.Journal(t.Context(), "nothing is decrypted"); err != nil || len(h.waiting()) != 1 {
		t.Errorf("a command that decrypts nothing sends nothing: %v", err)
	}
	h.opens(j)
	if err := j.Journal(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	commands := commandsOf(h.entries())
	if slices.Sort(commands); !slices.Equal(commands, []string{"first", "second"}) || len(h.waiting()) != 0 {
		t.Errorf("entries %v, waiting %v", commands, h.waiting())
	}
}

// TestNoPassphraseIsAskedForToSendAnEntry: a command that only had a program print a
// secret leaves it in the clone, without an error.
func TestNoPassphraseIsAskedForToSendAnEntry(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	j := h.journals()
	j.identity.Trail.Add("printed")
	if err := j.Journal(t.Context(), "render"); err != nil || j.identity.Unlocked() {
		t.Errorf("unlocked %v, %v", j.identity.Unlocked(), err)
	}
	if waiting := h.waiting(); len(waiting) != 1 || len(h.entries()) != 0 {
		t.Errorf("waiting %v, sent %v", waiting, h.entries())
	}
	h.opens(j)
	if err := j.Journal(t.Context(), "up"); err != nil || len(h.waiting()) != 0 || len(h.entries()) != 2 {
		t.Errorf("waiting %v, sent %v, %v", h.waiting(), h.entries(), err)
	}
}

// TestAFleetWithoutARemoteKeepsNoJournal, nor does an open set of files without a fleet.
func TestAFleetWithoutARemoteKeepsNoJournal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	j := h.journals()
	j.checkout.Fleet.Record = fleet.Location{}
	j.identity.Trail.Add("token")
	if err := j.Journal(t.Context(), "up"); err != nil {
		t.Error(err)
	}
	j = h.journals()
	j.checkout = &checkout.Checkout{}
	j.identity.Trail.Add("token")
	if err := j.Journal(t.Context(), "up"); err != nil {
		t.Error(err)
	}
	if waiting := h.waiting(); len(waiting) != 0 {
		t.Errorf("kept %v", waiting)
	}
}

// TestACloneThatTrustsNoKeyIsNotAskedAtTheEnd: its entry waits, and the hint says for what.
func TestACloneThatTrustsNoKeyIsNotAskedAtTheEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pins, err := filepath.Glob(filepath.Join(h.Dir, ".git/salvor/fleet_signers"))
	if err != nil || len(pins) != 1 {
		t.Fatal(pins, err)
	}
	if err := os.Remove(pins[0]); err != nil {
		t.Fatal(err)
	}
	j := h.journals()
	h.opens(j)
	if err := j.Journal(t.Context(), "up"); !errors.Is(err, ErrUnsent) || fault.Hint(err) != "salvor key trust" {
		t.Errorf("%v (%s)", err, fault.Hint(err))
	}
	if waiting := h.waiting(); len(waiting) != 1 {
		t.Errorf("waiting %v", waiting)
	}
}

// TestADamagedEntryIsNamed: it is not sent, and it is not removed.
func TestADamagedEntryIsNamed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	j := h.journals()
	j.identity.Trail.Add("printed")
	if err := j.Journal(t.Context(), "render"); err != nil {
		t.Fatal(err)
	}
	kept := h.waiting()[0]
	if err := os.WriteFile(kept, []byte("{\"schema\": 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.opens(j)
	if err := j.Journal(t.Context(), "up"); !errors.Is(err, ErrUnsent) || !strings.Contains(err.Error(), kept) {
		t.Errorf("%v, want one that names %s", err, kept)
	}
	if waiting := h.waiting(); !slices.Contains(waiting, kept) {
		t.Errorf("waiting %v", waiting)
	}
}

func commandsOf(entries []record.Entry) (all []string) {
	for _, e := range entries {
		all = append(all, e.Command)
	}
	return all
}
