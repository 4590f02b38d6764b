package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/delivery"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/record"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
	"salvor/internal/stack/stacktest"
)

// lived is a stack on a host with real snapshots and containers in memory, which
// has run, was snapshotted and wrote on.
type lived struct {
	*Host
	t      *testing.T
	engine *stacktest.Engine
	spec   agentapi.Host
	st     agentapi.Stack
	remote string
	note   string // the file that is its data
	old    agentapi.SnapshotReceipt
}

// own is the verdict of a host that nobody doubts.
var own = record.Verdict{State: record.Own, MayStart: true, MayChange: true}

func newLived(t *testing.T) *lived {
	t.Helper()
	h, remote := newHost(t), t.TempDir()
	if _, err := delivery.Mount(string(h.Paths.Secrets())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(string(h.Paths.Secrets()), unix.MNT_DETACH) })
	engine := stacktest.New()
	h.Stacks = stack.New(engine)
	t.Cleanup(h.Stacks.Close)
	l := &lived{Host: h, t: t, engine: engine, remote: remote, st: heretest.Sealed(t, h.base(), remote, 1, "aaaa0001")}
	l.spec = agentapi.Host{Fleet: "home", Name: "alpha", Commit: "c1"}
	l.runs("reg/app:1")
	l.note = filepath.Join(h.Paths.Volumes, "data", "note")
	if receipt := l.apply(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	heretest.Write(t, l.note, "as it was")
	l.old = l.take()
	heretest.Write(t, l.note, "written since")
	return l
}

// runs declares the image that the stack runs.
func (l *lived) runs(image string) {
	l.st.Project = project.Project{
		Dir: hostpath.Default().Project(heretest.Stack), Compose: []byte("services:\n  app:\n    image: " + image + "\n"),
		Services: []project.Service{{Name: "app", Image: image}}, Hash: "sha256:" + image,
	}
}

func (l *lived) wish(id string) {
	l.st.Restore = &fleet.Restore{ID: id, Epoch: 1, Snapshot: l.old.Snapshot.ID}
}

func (l *lived) run() *startup.Run {
	l.spec.Stacks = []agentapi.Stack{l.st}
	if err := l.base().SaveSpec(l.spec); err != nil {
		l.t.Fatal(err)
	}
	r := startup.New(l.keeper(), l.spec, progress.Discard())
	r.Prepared()
	return r
}

func (l *lived) apply() agentapi.StackReceipt {
	return l.run().On(l.run().At(l.run().Spec, l.st)).Deploy(l.t.Context(), own)
}

// boot is a host that lost its power and starts.
func (l *lived) boot() agentapi.StackReceipt {
	for _, c := range l.engine.Containers() {
		l.engine.Set(c.ID, "exited")
	}
	return l.run().On(l.run().At(l.run().Spec, l.st)).StartAfterBoot(l.t.Context(), own)
}

func (l *lived) take() agentapi.SnapshotReceipt {
	l.t.Helper()
	receipt, err := l.keeper().Take(l.t.Context(), l.Host.base().At(l.spec, l.st), keeper.Taking{Sink: progress.Discard()})
	if err != nil {
		l.t.Fatal(err)
	}
	return receipt
}

func (l *lived) data() string {
	content, err := os.ReadFile(l.note)
	if err != nil {
		l.t.Error(err)
	}
	return string(content)
}

// newest is the data of the newest snapshot, which a recovery would bring.
func (l *lived) newest() snapshot.Info {
	l.t.Helper()
	a, err := l.base().At(l.spec, l.st).Open()
	if err != nil {
		l.t.Fatal(err)
	}
	newest, _, err := keeper.ArchiveOf(a).Newest(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	return newest.Info
}

func (l *lived) state() (agentapi.HostState, agentapi.StackState) {
	l.t.Helper()
	var state agentapi.HostState
	l.spec.Stacks = []agentapi.Stack{l.st}
	if err := l.observeStacks(l.t.Context(), l.spec, &state); err != nil {
		l.t.Fatal(err)
	}
	return state, state.Stacks[0]
}

func codes(found []finding.Finding) string {
	var all []string
	for _, f := range found {
		all = append(all, string(f.Code))
	}
	return strings.Join(all, " ")
}

// TestBootFinishesARestore is fault V15.1: a restore that lost its host's power
// before the data was in place left the stack running on what was to be replaced.
func TestBootFinishesARestore(t *testing.T) {
	l := newLived(t)
	l.wish("one")
	startedOn := ""
	l.engine.OnStart = func(stacktest.Container) int { startedOn = l.data(); return -1 }
	receipt := l.boot()
	if receipt.Error != nil || startedOn != "as it was" || receipt.Wish != "one" {
		t.Errorf("%+v, started on %q", receipt, startedOn)
	}
	if l.newest().Seq <= l.old.Snapshot.Seq+1 {
		t.Error("neither what was replaced nor the restored data was taken")
	}
	heretest.Write(t, l.note, "after the restore")
	if receipt := l.apply(); receipt.Error != nil || l.data() != "after the restore" {
		t.Errorf("%+v, %q", receipt, l.data())
	}
}

// TestNothingIsForgottenWhileARestoreWaits: snapshots that were taken before a restore
// was finished pushed the one that it wanted out of the policy, and it never could be.
func TestNothingIsForgottenWhileARestoreWaits(t *testing.T) {
	l := newLived(t)
	if !l.base().At(l.spec, l.st).MayForget() {
		t.Error("nothing is forgotten although no restore waits")
	}
	l.wish("one")
	if l.base().At(l.spec, l.st).MayForget() {
		t.Error("the wished snapshot may be forgotten")
	}
	if receipt := l.apply(); receipt.Error != nil || !l.base().At(l.spec, l.st).MayForget() {
		t.Errorf("the restore is done: %+v", receipt)
	}
}

// TestAFulfilledWishIsNotDoneTwice is fault V15.2: with the power cut between the
// data in place and the note of it, the next apply restored once more.
func TestAFulfilledWishIsNotDoneTwice(t *testing.T) {
	l := newLived(t)
	l.wish("one")
	if receipt := l.apply(); receipt.Error != nil || l.data() != "as it was" {
		t.Fatalf("%+v, %q", receipt, l.data())
	}
	before := l.newest()
	if err := os.Remove(l.base().WishesPath(heretest.Stack)); err != nil { // it was not written yet
		t.Fatal(err)
	}
	if receipt := l.boot(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	heretest.Write(t, l.note, "acknowledged after the boot")
	if _, st := l.state(); st.Wish == nil || st.Wish.State != agentapi.WishDone {
		t.Errorf("the wish stands at %+v", st.Wish)
	}
	receipt := l.apply()
	if receipt.Error != nil || receipt.Wish != "one" || l.data() != "acknowledged after the boot" {
		t.Errorf("%+v, %q", receipt, l.data())
	}
	if l.newest().Seq == before.Seq {
		t.Error("its snapshot was forgotten")
	}
}

// TestTheSnapshotOfARestoreIsOwed is fault V15.3: with the power cut between the
// note and the start, no snapshot of the restored data was ever taken, and the
// wish stayed in the lock.
func TestTheSnapshotOfARestoreIsOwed(t *testing.T) {
	l := newLived(t)
	l.wish("one")
	remote := l.remote
	if err := os.Rename(remote, remote+".away"); err != nil {
		t.Fatal(err)
	}
	heretest.Write(t, remote, "no folder")
	// as the run leaves it that is cut right after the note
	l.base().NoteDone(heretest.Stack, "one")
	if receipt := l.boot(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	state, _ := l.state()
	if len(state.Changes) != 1 || state.Changes[0].ID != "restore" {
		t.Errorf("the plan says nothing of the wish in the lock: %+v", state.Changes)
	}
	if got := codes(state.Findings); got != string(finding.SnapshotFailed) {
		t.Errorf("findings: %s", got)
	}
	if receipt := l.apply(); receipt.Error != nil || receipt.Wish != "one" {
		t.Errorf("%+v", receipt)
	}
	if w := l.base().Wishes(heretest.Stack); w.Owed != "one" {
		t.Errorf("with the remote away the snapshot is no longer owed: %+v", w)
	}
	if err := errors.Join(os.Remove(remote), os.Rename(remote+".away", remote)); err != nil {
		t.Fatal(err)
	}
	if err := l.keeper().ChangeCondition(heretest.Stack, func(k *keeper.Condition) { k.Tried = k.Tried.Add(-2 * keeper.OwedEvery) }); err != nil {
		t.Fatal(err)
	}
	if due := l.keeper().Due(l.spec, time.Now()); len(due) != 1 {
		t.Errorf("due: %v", due)
	}
	if seq := l.take().Snapshot.Seq; seq <= l.old.Snapshot.Seq {
		t.Errorf("taken as %d", seq)
	}
	if state, _ := l.state(); codes(state.Findings) != "" {
		t.Errorf("still owed: %+v", state.Findings)
	}
}

// TestAnOwedSnapshotMayBeSmall is fault V15.5: what the operator chose is taken,
// however little it is.
func TestAnOwedSnapshotMayBeSmall(t *testing.T) {
	l := newLived(t)
	for i := range 20 {
		heretest.Write(t, filepath.Join(filepath.Dir(l.note), "big"+string(rune('a'+i))), strings.Repeat("x", 1<<16))
	}
	l.take()
	l.wish("one")
	if receipt := l.apply(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	if w := l.base().Wishes(heretest.Stack); w.Owed != "" {
		t.Errorf("%+v", w)
	}
	if seq := l.newest().Seq; seq < 3 {
		t.Errorf("the newest snapshot is %d", seq)
	}
}

// TestAFailedRestoreWaitsForTheOperator is faults F19 and D3: a restore that can't
// be done fails the run that asked for it and no other, is a finding, and is not
// tried again by an apply.
func TestAFailedRestoreWaitsForTheOperator(t *testing.T) {
	l := newLived(t)
	l.wish("one")
	l.st.Restore.Snapshot = strings.Repeat("ab", 32) // there is none
	if receipt := l.apply(); receipt.Error == nil || !strings.Contains(receipt.Error.Text, "abababab") {
		t.Fatalf("%+v", receipt)
	}
	state, st := l.state()
	if len(state.Changes) != 0 || codes(state.Findings) != string(finding.RestoreFailed) || st.Wish.State != agentapi.WishFailed {
		t.Errorf("%+v, %+v", state, st.Wish)
	}
	if f := state.Findings[0]; !strings.Contains(f.Fix, "--withdraw") {
		t.Errorf("fix: %s", f.Fix)
	}
	if receipt := l.apply(); receipt.Error != nil || receipt.Wish != "" || l.data() != "written since" {
		t.Errorf("the next apply: %+v, %q", receipt, l.data())
	}
	if receipt := l.boot(); receipt.Error != nil || receipt.Outcome != "started" {
		t.Errorf("the next boot: %+v", receipt)
	}
	// an older image does not start on data that it may not be able to read
	l.runs("reg/app:0")
	if receipt := l.apply(); receipt.Error != nil || receipt.Outcome != "waiting" || l.engine.Containers()[0].Image != "reg/app:1@sha256:1" {
		t.Errorf("%+v on %+v", receipt, l.engine.Containers())
	}
	l.runs("reg/app:1")
	l.wish("two") // asked again, for one that there is
	if receipt := l.apply(); receipt.Error != nil || l.data() != "as it was" {
		t.Errorf("asked again: %+v, %q", receipt, l.data())
	}
	l.st.Restore = nil
	if state, _ := l.state(); codes(state.Findings) != "" {
		t.Errorf("%+v", state.Findings)
	}
}

// A restore that the boot can't do leaves the stack running as it was.
func TestABootThatCannotRestoreStartsAllTheSame(t *testing.T) {
	l := newLived(t)
	l.wish("one")
	l.st.Restore.Snapshot = strings.Repeat("ab", 32)
	ctx, patience := l.t.Context(), l.run()
	receipt := agentapi.StackReceipt{}
	for _, c := range l.engine.Containers() {
		l.engine.Set(c.ID, "exited")
	}
	if receipt = patience.On(patience.At(patience.Spec, l.st)).Deploy(ctx, own); receipt.Error == nil || l.image() == "" {
		t.Fatalf("%+v, %q runs", receipt, l.image())
	}
	if receipt = l.run().On(l.run().At(l.run().Spec, l.st)).StartAfterBoot(ctx, own); receipt.Error != nil || l.engine.Containers()[0].State != "running" || l.data() != "written since" {
		t.Errorf("%+v, %+v, %q", receipt, l.engine.Containers(), l.data())
	}
}
