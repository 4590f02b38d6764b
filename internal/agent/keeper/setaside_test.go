package keeper_test

import (
	"os"
	"path/filepath"
	"testing"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/keeper"
	"salvor/internal/finding"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
)

// TestWhatAFinalSnapshotHoldsIsRemoved is the other side of the rule: what a move
// left behind is in its final snapshot, so coming back does not pile it up.
func TestWhatAFinalSnapshotHoldsIsRemoved(t *testing.T) {
	t.Parallel()
	s := agenttest.NewStand(t, false)
	s.Started(t, "final")
	s.Take(t)
	s.Place(t, 3, true)
	if _, err := s.Supply(t); err != nil {
		t.Fatal(err)
	}
	if kept := s.Kept(t); len(kept) != 1 {
		t.Fatalf("kept %v", kept)
	}
	s.Take(t)
	if kept := s.Kept(t); len(kept) != 0 {
		t.Errorf("kept %v", kept)
	}
}

// TestDivergedDataComesBackByItsID is fault V13: data that was moved aside and is
// in no snapshot goes into one by a command, and comes back by another.
func TestDivergedDataComesBackByItsID(t *testing.T) {
	t.Parallel()
	s := agenttest.NewStand(t, false)
	s.Started(t, "old")
	first := s.Take(t)
	s.Write(t, "diverged")
	s.Place(t, 3, true)
	if _, err := s.Supply(t); err != nil {
		t.Fatal(err)
	}
	if _, err := keeper.New(s.Host).TakeDiverged(t.Context(), s.Here(), progress.Discard()); err != nil {
		t.Fatal(err)
	}
	a, err := s.Here().Open()
	if err != nil {
		t.Fatal(err)
	}
	if newest, _, err := keeper.ArchiveOf(a).Newest(t.Context()); err != nil || newest.Info.ID != first.Snapshot.ID {
		t.Errorf("the diverged one is picked by itself: %+v, %v", newest, err)
	}
	kept, err := snapshot.KeptOf(s.Volume())
	if err != nil || len(kept) != 1 || kept[0].Snapshot == "" {
		t.Fatalf("kept %+v, %v", kept, err)
	}
	s.Take(t)
	if left := s.Kept(t); len(left) != 0 {
		t.Errorf("still kept, though a snapshot holds it: %v", left)
	}
	if _, err := keeper.New(s.Host).TakeDiverged(t.Context(), s.Here(), progress.Discard()); err == nil {
		t.Error("a snapshot of nothing was taken")
	}
	s.Restore(t, kept[0].Snapshot)
	if got := s.Read(t); got != "diverged" {
		t.Errorf("restored %q", got)
	}
}

// TestNothingIsNotKept: a volume that Docker had made, and that nothing was written to, is
// moved aside like any other, but is not worth a word.
func TestNothingIsNotKept(t *testing.T) {
	t.Parallel()
	s := agenttest.NewStand(t, false)
	s.Started(t, "data")
	aside := s.Volume().Path + ".salvor-old-20260102T030405.000000Z"
	if err := os.MkdirAll(filepath.Join(aside, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	if found := keeper.New(s.Host).SetAsideFindings(s.Here()); len(found) > 0 {
		t.Errorf("about nothing: %+v", found)
	}
	if err := os.WriteFile(filepath.Join(aside, "note"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if found := keeper.New(s.Host).SetAsideFindings(s.Here()); len(found) != 1 || found[0].Code != finding.VolumeKept {
		t.Errorf("about a file: %+v", found)
	}
}
