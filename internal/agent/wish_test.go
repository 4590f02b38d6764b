package agent

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
)

// TestTheSnapshotOfARestoreIsOwed is fault V15.3: with the power cut between the
// note and the start, no snapshot of the restored data was ever taken, and the
// wish stayed in the lock.
func TestTheSnapshotOfARestoreIsOwed(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	l.Wish("one")
	remote := l.Remote
	if err := os.Rename(remote, remote+".away"); err != nil {
		t.Fatal(err)
	}
	heretest.Write(t, remote, "no folder")
	// as the run leaves it that is cut right after the note
	l.NoteDone(heretest.Stack, "one")
	if receipt := l.Boot(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	state, _ := l.state(t)
	if len(state.Changes) != 1 || state.Changes[0].ID != "restore" {
		t.Errorf("the plan says nothing of the wish in the lock: %+v", state.Changes)
	}
	if got := agenttest.Codes(state.Findings); got != string(finding.SnapshotFailed) {
		t.Errorf("findings: %s", got)
	}
	if receipt := l.Apply(); receipt.Error != nil || receipt.Wish != "one" {
		t.Errorf("%+v", receipt)
	}
	if w := l.Wishes(heretest.Stack); w.Owed != "one" {
		t.Errorf("with the remote away the snapshot is no longer owed: %+v", w)
	}
	if err := errors.Join(os.Remove(remote), os.Rename(remote+".away", remote)); err != nil {
		t.Fatal(err)
	}
	if err := keeper.New(l.Host).ChangeCondition(heretest.Stack, "offsite", func(k *keeper.OnTarget) { k.Tried = k.Tried.Add(-2 * keeper.OwedEvery) }); err != nil {
		t.Fatal(err)
	}
	if due := keeper.New(l.Host).Due(l.Spec, time.Now()); len(due) != 1 {
		t.Errorf("due: %v", due)
	}
	if seq := l.Take().Snapshot.Seq; seq <= l.Old.Snapshot.Seq {
		t.Errorf("taken as %d", seq)
	}
	if state, _ := l.state(t); agenttest.Codes(state.Findings) != "" {
		t.Errorf("still owed: %+v", state.Findings)
	}
}

// TestAFailedRestoreWaitsForTheOperator is faults F19 and D3: a restore that can't
// be done fails the run that asked for it and no other, is a finding, and is not
// tried again by an apply.
func TestAFailedRestoreWaitsForTheOperator(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	l.Wish("one")
	l.Stack.Restore.Snapshot = strings.Repeat("ab", 32) // there is none
	if receipt := l.Apply(); receipt.Error == nil || !strings.Contains(receipt.Error.Text, "abababab") {
		t.Fatalf("%+v", receipt)
	}
	state, st := l.state(t)
	if len(state.Changes) != 0 || agenttest.Codes(state.Findings) != string(finding.RestoreFailed) || st.Wish.State != agentapi.WishFailed {
		t.Errorf("%+v, %+v", state, st.Wish)
	}
	if f := state.Findings[0]; !strings.Contains(f.Fix, "--withdraw") {
		t.Errorf("fix: %s", f.Fix)
	}
	if receipt := l.Apply(); receipt.Error != nil || receipt.Wish != "" || l.Data() != "written since" {
		t.Errorf("the next apply: %+v, %q", receipt, l.Data())
	}
	if receipt := l.Boot(); receipt.Error != nil || receipt.Outcome != "started" {
		t.Errorf("the next boot: %+v", receipt)
	}
	// an older image does not start on data that it may not be able to read
	l.Runs("reg/app:0")
	if receipt := l.Apply(); receipt.Error != nil || receipt.Outcome != "waiting" || l.Engine.Containers()[0].Image != "reg/app:1@sha256:1" {
		t.Errorf("%+v on %+v", receipt, l.Engine.Containers())
	}
	l.Runs("reg/app:1")
	l.Wish("two") // asked again, for one that there is
	if receipt := l.Apply(); receipt.Error != nil || l.Data() != "as it was" {
		t.Errorf("asked again: %+v, %q", receipt, l.Data())
	}
	l.Stack.Restore = nil
	if state, _ := l.state(t); agenttest.Codes(state.Findings) != "" {
		t.Errorf("%+v", state.Findings)
	}
}

// TestAStackWhoseRestoreFailedDoesNotStayStopped: a move had stopped the stack that the commit
// gives another image, and whose restore failed. The plan was empty, so that no apply
// started it.
func TestAStackWhoseRestoreFailedDoesNotStayStopped(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	l.Wish("one")
	l.Stack.Restore.Snapshot = strings.Repeat("ab", 32) // there is none
	l.Runs("reg/app:0")
	if receipt := l.Apply(); receipt.Error == nil {
		t.Fatal("there is no such snapshot")
	}
	if state, _ := l.state(t); len(state.Changes) != 0 {
		t.Fatalf("it runs as it was, and the plan has %+v", state.Changes)
	}
	if err := errors.Join(l.Stacks.CloseGate(t.Context(), heretest.Stack), l.Stacks.Stop(t.Context(), heretest.Stack)); err != nil {
		t.Fatal(err)
	}
	state, _ := l.state(t)
	if len(state.Changes) != 1 || state.Changes[0].ID != "services" || !strings.HasPrefix(state.Changes[0].Cause, "not running: app") {
		t.Errorf("it is stopped, and the plan has %+v", state.Changes)
	}
	if receipt := l.Apply(); receipt.Error != nil || l.Image() != "reg/app:1@sha256:1" || l.Data() != "written since" {
		t.Errorf("%+v, %q runs on %q", receipt, l.Image(), l.Data())
	}
	if state, _ := l.state(t); len(state.Changes) != 0 {
		t.Errorf("it runs again, and the plan has %+v", state.Changes)
	}
}
