package startup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/stack/stacktest"
)

// TestBootFinishesARestore is fault V15.1: a restore that lost its host's power
// before the data was in place left the stack running on what was to be replaced.
func TestBootFinishesARestore(t *testing.T) {
	t.Parallel()
	l := agenttest.NewLived(t)
	l.Wish("one")
	startedOn := ""
	l.Engine.OnStart = func(stacktest.Container) int { startedOn = l.Data(); return -1 }
	receipt := l.Boot()
	if receipt.Error != nil || startedOn != "as it was" || receipt.Wish != "one" {
		t.Errorf("%+v, started on %q", receipt, startedOn)
	}
	if l.Newest().Seq <= l.Old.Snapshot.Seq+1 {
		t.Error("neither what was replaced nor the restored data was taken")
	}
	heretest.Write(t, l.Note, "after the restore")
	if receipt := l.Apply(); receipt.Error != nil || l.Data() != "after the restore" {
		t.Errorf("%+v, %q", receipt, l.Data())
	}
}

// TestAFulfilledWishIsNotDoneTwice is fault V15.2: with the power cut between the
// data in place and the note of it, the next apply restored once more.
func TestAFulfilledWishIsNotDoneTwice(t *testing.T) {
	t.Parallel()
	l := agenttest.NewLived(t)
	l.Wish("one")
	if receipt := l.Apply(); receipt.Error != nil || l.Data() != "as it was" {
		t.Fatalf("%+v, %q", receipt, l.Data())
	}
	before := l.Newest()
	if err := os.Remove(l.WishesPath(heretest.Stack)); err != nil { // it was not written yet
		t.Fatal(err)
	}
	if receipt := l.Boot(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	heretest.Write(t, l.Note, "acknowledged after the boot")
	if wish := l.Here().Wish(); wish == nil || wish.State != agentapi.WishDone {
		t.Errorf("the wish stands at %+v", wish)
	}
	receipt := l.Apply()
	if receipt.Error != nil || receipt.Wish != "one" || l.Data() != "acknowledged after the boot" {
		t.Errorf("%+v, %q", receipt, l.Data())
	}
	if l.Newest().Seq == before.Seq {
		t.Error("its snapshot was forgotten")
	}
}

// TestAnOwedSnapshotMayBeSmall is fault V15.5: what the operator chose is taken,
// however little it is.
func TestAnOwedSnapshotMayBeSmall(t *testing.T) {
	t.Parallel()
	l := agenttest.NewLived(t)
	for i := range 20 {
		heretest.Write(t, filepath.Join(filepath.Dir(l.Note), "big"+string(rune('a'+i))), strings.Repeat("x", 1<<16))
	}
	l.Take()
	l.Wish("one")
	if receipt := l.Apply(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	if w := l.Wishes(heretest.Stack); w.Owed != "" {
		t.Errorf("%+v", w)
	}
	if seq := l.Newest().Seq; seq < 3 {
		t.Errorf("the newest snapshot is %d", seq)
	}
}

// A restore that the boot can't do leaves the stack running as it was.
func TestABootThatCannotRestoreStartsAllTheSame(t *testing.T) {
	t.Parallel()
	l := agenttest.NewLived(t)
	l.Wish("one")
	l.Stack.Restore.Snapshot = strings.Repeat("ab", 32)
	ctx, patience := t.Context(), l.Run()
	receipt := agentapi.StackReceipt{}
	for _, c := range l.Engine.Containers() {
		l.Engine.Set(c.ID, "exited")
	}
	if receipt = patience.On(patience.At(patience.Spec, l.Stack)).Deploy(ctx, agenttest.Own()); receipt.Error == nil || l.Image() == "" {
		t.Fatalf("%+v, %q runs", receipt, l.Image())
	}
	if receipt = l.Start().StartAfterBoot(ctx, agenttest.Own()); receipt.Error != nil || l.Engine.Containers()[0].State != "running" || l.Data() != "written since" {
		t.Errorf("%+v, %+v, %q", receipt, l.Engine.Containers(), l.Data())
	}
}

// TestNothingIsForgottenWhileARestoreWaits: snapshots that were taken before a restore
// was finished pushed the one that it wanted out of the policy, and it never could be.
func TestNothingIsForgottenWhileARestoreWaits(t *testing.T) {
	t.Parallel()
	l := agenttest.NewLived(t)
	if !l.Here().MayForget() {
		t.Error("nothing is forgotten although no restore waits")
	}
	l.Wish("one")
	if l.Here().MayForget() {
		t.Error("the wished snapshot may be forgotten")
	}
	if receipt := l.Apply(); receipt.Error != nil || !l.Here().MayForget() {
		t.Errorf("the restore is done: %+v", receipt)
	}
}
