package agent

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/hold"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/stack/stacktest"
)

// killed does work whose process is killed when it comes to a step. What was
// deferred runs, as the kernel lets go of locks.
func killed(t *testing.T, step string, work func(context.Context)) {
	t.Helper()
	reached, done := false, make(chan struct{})
	go func() {
		defer close(done)
		work(hold.With(t.Context(), func(at string) {
			if at == step {
				reached = true
				runtime.Goexit()
			}
		}))
	}()
	<-done
	if !reached {
		t.Fatalf("the run never came to %s", step)
	}
}

// round is what the daemon, which was not killed, does next.
func (l *lived) round() {
	l.t.Helper()
	l.spec.Stacks = []agentapi.Stack{l.st}
	if err := (&daemon{l.Host}).finishRuns(l.t.Context(), progress.Discard()); err != nil {
		l.t.Error(err)
	}
}

// goesOn are what may come next after a run that was killed.
var goesOn = map[string]func(*lived){
	"boot":   func(l *lived) { l.boot() },
	"apply":  func(l *lived) { l.apply() },
	"daemon": (*lived).round,
}

// upgradeSteps are those at which an upgrade that fails can be killed with its
// stack stopped, in order.
var upgradeSteps = []string{
	"upgrade-halted", "upgrade-stopped", "start", "upgrade-failed", "upgrade-after", "place", "place-aside", "place-renamed", "upgrade-back",
}

// TestAnUpgradeThatIsKilledIsFinished is fault V16 with the run killed on the way:
// whatever comes next ends in the same state. Killed between the stop and the note
// of the last snapshot, a stack stayed stopped until the next apply.
func TestAnUpgradeThatIsKilledIsFinished(t *testing.T) {
	for next, goOn := range goesOn {
		for _, step := range upgradeSteps {
			switch i := slices.Index(upgradeSteps, step); {
			case next != "daemon" && i >= 3:
				continue // from there on every run does the same
			case testing.Short() && (next != "daemon" && i > 0 || i%2 == 1):
				continue
			}
			t.Run(next+" after "+step, func(t *testing.T) {
				l := newLived(t)
				l.migrates()
				killed(t, step, func(ctx context.Context) { l.run().On(l.run().At(l.run().Spec, l.st)).Deploy(ctx, own) })
				state, _ := l.state()
				if codes(state.Findings) != string(finding.NotAsCommitted) {
					t.Errorf("findings after the kill: %+v", state.Findings)
				}
				goOn(l)
				l.checkBack()
				l.checkNothingLeft()
			})
		}
	}
}

// TestWhatAnApplyCannotFinishTheDaemonDoes: the apply after the killed one was refused
// before it came to the stack that is stopped.
func TestWhatAnApplyCannotFinishTheDaemonDoes(t *testing.T) {
	l := newLived(t)
	l.migrates()
	killed(t, "upgrade-halted", func(ctx context.Context) { l.run().On(l.run().At(l.run().Spec, l.st)).Deploy(ctx, own) })
	if receipt := l.run().On(l.run().At(l.run().Spec, l.st)).Deploy(t.Context(), record.Verdict{Reason: "nothing answers"}); receipt.Error == nil || l.image() != "" {
		t.Fatalf("%+v, %s runs", receipt, l.image())
	}
	l.round()
	l.checkBack()
	l.checkNothingLeft()
}

// checkNothingLeft checks that the daemon sees nothing to finish.
func (l *lived) checkNothingLeft() {
	l.t.Helper()
	if left := (&daemon{l.Host}).leftOver(l.spec); len(left) > 0 {
		l.t.Errorf("still to be finished: %v", left[0].Name)
	}
}

// TestARunThatIsKilledEarlyChangesNothing: nothing was stopped yet, so the daemon
// leaves it to an apply, and status says what does not run.
func TestARunThatIsKilledEarlyChangesNothing(t *testing.T) {
	l := newLived(t)
	l.migrates()
	killed(t, "upgrade-taken", func(ctx context.Context) { l.run().On(l.run().At(l.run().Spec, l.st)).Deploy(ctx, own) })
	l.round()
	if l.image() != "reg/app:1@sha256:1" || l.base().Attempt(heretest.Stack).State != "" {
		t.Errorf("%s runs, noted %+v", l.image(), l.base().Attempt(heretest.Stack))
	}
	if state, _ := l.state(); codes(state.Findings) != string(finding.NotAsCommitted) {
		t.Errorf("findings: %+v", state.Findings)
	}
	l.checkNothingLeft()
}

// TestARollbackThatIsKilledStartsNothingOnOtherData: an apply of the version before
// was killed before it had put the data back. It is the version that was deployed
// last, and was started on what the new one had made of the data.
func TestARollbackThatIsKilledStartsNothingOnOtherData(t *testing.T) {
	for next, goOn := range goesOn {
		t.Run(next, func(t *testing.T) {
			l := newLived(t)
			l.migrates()
			killed(t, "upgrade-failed", func(ctx context.Context) { l.run().On(l.run().At(l.run().Spec, l.st)).Deploy(ctx, own) })
			l.runs("reg/app:1")
			killed(t, "claimed", func(ctx context.Context) { l.run().On(l.run().At(l.run().Spec, l.st)).Deploy(ctx, own) })
			goOn(l)
			if l.data() != "written since" || l.image() != "reg/app:1@sha256:1" {
				t.Errorf("%s runs on %q", l.image(), l.data())
			}
			if state, _ := l.state(); codes(state.Findings) != "" {
				t.Errorf("findings: %+v", state.Findings)
			}
			l.checkNothingLeft()
		})
	}
}

// TestARestoreThatIsKilledIsFinished is the same kind as V16: a restore whose run was
// killed with the stack stopped left it stopped until the next apply or boot.
func TestARestoreThatIsKilledIsFinished(t *testing.T) {
	for _, step := range []string{"place", "place-aside", "put-placed", "put-noted", "start"} {
		t.Run(step, func(t *testing.T) {
			l := newLived(t)
			l.wish("one")
			killed(t, step, func(ctx context.Context) { l.run().On(l.run().At(l.run().Spec, l.st)).Deploy(ctx, own) })
			l.round()
			if l.image() == "" || l.data() != "as it was" {
				t.Errorf("%s runs on %q", l.image(), l.data())
			}
			l.checkNothingLeft()
		})
	}
}

// TestAReleaseThatIsKilledIsUndone: the operator's move ends with its release, so
// the stack runs on where it was; once its release is noted it stays stopped.
func TestAReleaseThatIsKilledIsUndone(t *testing.T) {
	for step, running := range map[string]bool{"release-stopped": true, "taken": true, "release-taken": true, "": false} {
		t.Run(step, func(t *testing.T) {
			l := newLived(t)
			l.run() // what the host was asked to be
			release := func(ctx context.Context) {
				if _, err := l.Release(ctx, agentapi.Release{Stack: heretest.Stack, Epoch: 1}, progress.Discard()); err != nil {
					t.Error(err)
				}
			}
			if step == "" {
				release(t.Context())
			} else {
				killed(t, step, release)
			}
			l.round()
			if got := l.image() != ""; got != running {
				t.Errorf("runs: %v", got)
			}
			l.checkNothingLeft()
		})
	}
}

// TestADeployThatIsKilledIsFinished has no data at stake: Compose was killed when it
// had stopped what ran.
func TestADeployThatIsKilledIsFinished(t *testing.T) {
	l := newLived(t)
	l.st.Volumes = nil
	if receipt := l.apply(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	l.runs("reg/app:2")
	l.engine.OnStart = func(stacktest.Container) int { runtime.Goexit(); return -1 }
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		l.apply()
	}()
	<-killed
	l.engine.OnStart = nil
	for _, c := range l.engine.Containers() {
		l.engine.Set(c.ID, "created")
	}
	if l.image() != "" {
		t.Fatalf("%s runs", l.image())
	}
	l.round()
	if l.image() != "reg/app:2@sha256:2" {
		t.Errorf("%q runs", l.image())
	}
	l.checkNothingLeft()
}

// TestAnInterruptedRunIsFinished: the operator's connection ended while the stack was
// stopped for a restore. A run that stopped nothing is left to the operator.
func TestAnInterruptedRunIsFinished(t *testing.T) {
	for step, want := range map[string]string{"place": "as it was", "put-fetched": "written since"} {
		t.Run(step, func(t *testing.T) {
			l := newLived(t)
			l.wish("one")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			receipt := l.run().On(l.run().At(l.run().Spec, l.st)).Deploy(hold.With(ctx, func(at string) {
				if at == step {
					cancel()
				}
			}), own)
			if receipt.Outcome != "interrupted" && step == "put-fetched" {
				t.Errorf("%+v", receipt)
			}
			l.round()
			if l.image() == "" || l.data() != want {
				t.Errorf("%q runs on %q", l.image(), l.data())
			}
			l.checkNothingLeft()
		})
	}
}

// TestEveryStackIsFinished: two stacks were left stopped, of which one needs the
// other. The first kept the second waiting for good.
func TestEveryStackIsFinished(t *testing.T) {
	l := newLived(t)
	site := agentapi.Stack{Name: "site", Epoch: 1, Needs: []string{heretest.Stack}, Project: l.st.Project}
	heretest.Seal(t, l.base(), &site, "alpha", agentapi.SealedFile{})
	site.Project.Dir = strings.ReplaceAll(site.Project.Dir, heretest.Stack, "site")
	l.migrates()
	two := func() *startup.Run {
		l.spec.Stacks = []agentapi.Stack{site, l.st}
		if err := l.base().SaveSpec(l.spec); err != nil {
			t.Fatal(err)
		}
		r := startup.New(l.keeper(), l.spec, progress.Discard())
		r.Prepared()
		return r
	}
	r := two()
	r.Meet(startup.NeedStack(heretest.Stack), nil)
	if receipt := r.On(r.At(r.Spec, site)).Deploy(t.Context(), own); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	r = two()
	killed(t, "upgrade-halted", func(ctx context.Context) { r.On(r.At(r.Spec, l.st)).Deploy(ctx, own) })
	if err := l.base().NoteRun(site.Name, "deploy"); err != nil { // it was killed, too
		t.Fatal(err)
	}
	for _, c := range l.engine.Containers() {
		l.engine.Set(c.ID, "exited")
	}
	if err := (&daemon{l.Host}).finishRuns(t.Context(), progress.Discard()); err != nil {
		t.Fatal(err)
	}
	running := map[string]bool{}
	for _, c := range l.engine.Containers() {
		running[c.Project] = c.State == "running"
	}
	if !running["site"] || !running[heretest.Stack] {
		t.Errorf("running: %v", running)
	}
	l.checkBack()
}

// TestALivingRunIsLeftAlone: what works on a stack now is not taken for one that was
// killed.
func TestALivingRunIsLeftAlone(t *testing.T) {
	l := newLived(t)
	l.run()
	if _, err := l.Release(hold.With(t.Context(), func(at string) {
		if at == "release-stopped" {
			l.round()
			if l.image() != "" {
				t.Error("the stack was started while it was released")
			}
		}
	}), agentapi.Release{Stack: heretest.Stack, Epoch: 1}, progress.Discard()); err != nil {
		t.Fatal(err)
	}
	if l.image() != "" {
		t.Error("it runs")
	}
}

// TestNothingUnreadableIsFinished: a note that can't be read is as good as none.
func TestNothingUnreadableIsFinished(t *testing.T) {
	l := newLived(t)
	l.run()
	for _, path := range []string{l.base().RunPath(heretest.Stack), l.base().AttemptPath(heretest.Stack), l.base().WishesPath(heretest.Stack)} {
		if err := errors.Join(here.WriteJSON(path, here.Attempt{}), os.WriteFile(path, []byte(`{"schema":99,"state":"back","what":"deploy","owed":"x"}`), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	l.checkNothingLeft()
	if l.base().Wishes(heretest.Stack).Owed != "" {
		t.Error("what a newer salvord owes is read")
	}
}
