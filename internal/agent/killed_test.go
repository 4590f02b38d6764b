package agent

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/hold"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/stack/stacktest"
)

// killed does work whose process is killed when it comes to a step. What was deferred
// runs, as the kernel releases locks.
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

// goesOn are what may come next after a run that was killed.
var goesOn = map[string]func(*testing.T, *lived){
	"boot":   func(_ *testing.T, l *lived) { l.Boot() },
	"apply":  func(_ *testing.T, l *lived) { l.Apply() },
	"daemon": func(t *testing.T, l *lived) { t.Helper(); l.round(t) },
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
	t.Parallel()
	for next, goOn := range goesOn {
		for _, step := range upgradeSteps {
			switch i := slices.Index(upgradeSteps, step); {
			case next != "daemon" && i >= 3:
				continue // from there on every run does the same
			case testing.Short() && (next != "daemon" && i > 0 || i%2 == 1):
				continue
			}
			t.Run(next+" after "+step, func(t *testing.T) {
				t.Parallel()
				l := newLived(t)
				l.Migrates()
				killed(t, step, func(ctx context.Context) { l.Start().Deploy(ctx, agenttest.Own()) })
				state, _ := l.state(t)
				if agenttest.Codes(state.Findings) != string(finding.NotAsCommitted) {
					t.Errorf("findings after the kill: %+v", state.Findings)
				}
				goOn(t, l)
				l.CheckBack()
				l.checkNothingLeft(t)
			})
		}
	}
}

// TestWhatAnApplyCannotFinishTheDaemonDoes: the apply after the killed one was refused
// before it came to the stack that is stopped.
func TestWhatAnApplyCannotFinishTheDaemonDoes(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	l.Migrates()
	killed(t, "upgrade-halted", func(ctx context.Context) { l.Start().Deploy(ctx, agenttest.Own()) })
	if receipt := l.Start().Deploy(t.Context(), record.Verdict{Reason: "nothing answers"}); receipt.Error == nil || l.Image() != "" {
		t.Fatalf("%+v, %s runs", receipt, l.Image())
	}
	l.round(t)
	l.CheckBack()
	l.checkNothingLeft(t)
}

// TestARunThatIsKilledEarlyChangesNothing: nothing was stopped yet, so the daemon
// leaves it to an apply, and status says what does not run.
func TestARunThatIsKilledEarlyChangesNothing(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	l.Migrates()
	killed(t, "upgrade-taken", func(ctx context.Context) { l.Start().Deploy(ctx, agenttest.Own()) })
	l.round(t)
	if l.Image() != "reg/app:1@sha256:1" || l.Here().Attempt().State != "" {
		t.Errorf("%s runs, noted %+v", l.Image(), l.Here().Attempt())
	}
	if state, _ := l.state(t); agenttest.Codes(state.Findings) != string(finding.NotAsCommitted) {
		t.Errorf("findings: %+v", state.Findings)
	}
	l.checkNothingLeft(t)
}

// TestARollbackThatIsKilledStartsNothingOnOtherData: an apply of the version before
// was killed before it had put the data back. It is the version that was deployed
// last, and was started on what the new one had made of the data.
func TestARollbackThatIsKilledStartsNothingOnOtherData(t *testing.T) {
	t.Parallel()
	for next, goOn := range goesOn {
		t.Run(next, func(t *testing.T) {
			t.Parallel()
			l := newLived(t)
			l.Migrates()
			killed(t, "upgrade-failed", func(ctx context.Context) { l.Start().Deploy(ctx, agenttest.Own()) })
			l.Runs("reg/app:1")
			killed(t, "claimed", func(ctx context.Context) { l.Start().Deploy(ctx, agenttest.Own()) })
			goOn(t, l)
			if l.Data() != "written since" || l.Image() != "reg/app:1@sha256:1" {
				t.Errorf("%s runs on %q", l.Image(), l.Data())
			}
			if state, _ := l.state(t); agenttest.Codes(state.Findings) != "" {
				t.Errorf("findings: %+v", state.Findings)
			}
			l.checkNothingLeft(t)
		})
	}
}

// TestARestoreThatIsKilledIsFinished is the same kind as V16: a restore whose run was
// killed with the stack stopped left it stopped until the next apply or boot.
func TestARestoreThatIsKilledIsFinished(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"place", "place-aside", "put-placed", "put-noted", "start"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			l := newLived(t)
			l.Wish("one")
			killed(t, step, func(ctx context.Context) { l.Start().Deploy(ctx, agenttest.Own()) })
			l.round(t)
			if l.Image() == "" || l.Data() != "as it was" {
				t.Errorf("%s runs on %q", l.Image(), l.Data())
			}
			l.checkNothingLeft(t)
		})
	}
}

// TestAReleaseThatIsKilledIsUndone: the operator's move ends with its release, so
// the stack runs on where it was; once its release is noted it stays stopped.
func TestAReleaseThatIsKilledIsUndone(t *testing.T) {
	t.Parallel()
	for step, running := range map[string]bool{"release-stopped": true, "taken": true, "release-taken": true, "": false} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			l := newLived(t)
			l.Run() // what the host was asked to be
			release := func(ctx context.Context) {
				if _, err := l.agent().Release(ctx, agentapi.Release{Stack: heretest.Stack, Epoch: 1}, progress.Discard()); err != nil {
					t.Error(err)
				}
			}
			if step == "" {
				release(t.Context())
			} else {
				killed(t, step, release)
			}
			l.round(t)
			if got := l.Image() != ""; got != running {
				t.Errorf("runs: %v", got)
			}
			l.checkNothingLeft(t)
		})
	}
}

// TestADeployThatIsKilledIsFinished has no data at stake: Compose was killed when it
// had stopped what ran.
func TestADeployThatIsKilledIsFinished(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	l.Stack.Volumes = nil
	if receipt := l.Apply(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	l.Runs("reg/app:2")
	l.Engine.OnStart = func(stacktest.Container) int { runtime.Goexit(); return -1 }
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		l.Apply()
	}()
	<-killed
	l.Engine.OnStart = nil
	for _, c := range l.Engine.Containers() {
		l.Engine.Set(c.ID, "created")
	}
	if l.Image() != "" {
		t.Fatalf("%s runs", l.Image())
	}
	l.round(t)
	if l.Image() != "reg/app:2@sha256:2" {
		t.Errorf("%q runs", l.Image())
	}
	l.checkNothingLeft(t)
}

// TestAnInterruptedRunIsFinished: the operator's connection ended while the stack was
// stopped for a restore. A run that stopped nothing is left to the operator.
func TestAnInterruptedRunIsFinished(t *testing.T) {
	t.Parallel()
	for step, want := range map[string]string{"place": "as it was", "put-fetched": "written since"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			l := newLived(t)
			l.Wish("one")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			receipt := l.Start().Deploy(hold.With(ctx, func(at string) {
				if at == step {
					cancel()
				}
			}), agenttest.Own())
			if receipt.Outcome != "interrupted" && step == "put-fetched" {
				t.Errorf("%+v", receipt)
			}
			l.round(t)
			if l.Image() == "" || l.Data() != want {
				t.Errorf("%q runs on %q", l.Image(), l.Data())
			}
			l.checkNothingLeft(t)
		})
	}
}

// TestEveryStackIsFinished: two stacks were left stopped, of which one needs the
// other. The first kept the second waiting forever.
func TestEveryStackIsFinished(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	site := agentapi.Stack{Name: "site", Epoch: 1, Needs: []string{heretest.Stack}, Project: l.Stack.Project}
	heretest.Seal(t, l.Host, &site, "alpha", agentapi.SealedFile{})
	site.Project.Dir = strings.ReplaceAll(site.Project.Dir, heretest.Stack, "site")
	l.Migrates()
	two := func() *startup.Run {
		l.Spec.Stacks = []agentapi.Stack{site, l.Stack}
		if err := l.SaveSpec(l.Spec); err != nil {
			t.Fatal(err)
		}
		r := startup.New(keeper.New(l.Host), l.Spec, progress.Discard())
		r.Prepared()
		return r
	}
	r := two()
	r.Meet(startup.NeedStack(heretest.Stack), nil)
	if receipt := r.On(r.At(r.Spec, site)).Deploy(t.Context(), agenttest.Own()); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	r = two()
	killed(t, "upgrade-halted", func(ctx context.Context) { r.On(r.At(r.Spec, l.Stack)).Deploy(ctx, agenttest.Own()) })
	if err := l.NoteRun(site.Name, "deploy"); err != nil { // it was killed, too
		t.Fatal(err)
	}
	for _, c := range l.Engine.Containers() {
		l.Engine.Set(c.ID, "exited")
	}
	if err := (&daemon{l.agent()}).finishRuns(t.Context(), progress.Discard()); err != nil {
		t.Fatal(err)
	}
	running := map[string]bool{}
	for _, c := range l.Engine.Containers() {
		running[c.Project] = c.State == "running"
	}
	if !running["site"] || !running[heretest.Stack] {
		t.Errorf("running: %v", running)
	}
	l.CheckBack()
}

// TestALivingRunIsLeftAlone: what works on a stack now is not taken for one that was
// killed.
func TestALivingRunIsLeftAlone(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	l.Run()
	if _, err := l.agent().Release(hold.With(t.Context(), func(at string) {
		if at == "release-stopped" {
			l.round(t)
			if l.Image() != "" {
				t.Error("the stack was started while it was released")
			}
		}
	}), agentapi.Release{Stack: heretest.Stack, Epoch: 1}, progress.Discard()); err != nil {
		t.Fatal(err)
	}
	if l.Image() != "" {
		t.Error("it runs")
	}
}

// TestNothingUnreadableIsFinished: a note that can't be read is as good as none.
func TestNothingUnreadableIsFinished(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	l.Run()
	for _, path := range []string{l.RunPath(heretest.Stack), l.AttemptPath(heretest.Stack), l.WishesPath(heretest.Stack)} {
		if err := errors.Join(here.WriteJSON(path, here.Attempt{}), os.WriteFile(path, []byte(`{"schema":99,"state":"back","what":"deploy","owed":"x"}`), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	l.checkNothingLeft(t)
	if l.Wishes(heretest.Stack).Owed != "" {
		t.Error("what a newer salvord owes is read")
	}
}
