package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/runlock"
	"salvor/internal/stack/stacktest"
)

// newPair is a stack of two services, up.
func newPair(t *testing.T) *lived {
	t.Helper()
	l := newLived(t)
	l.Stack.Project = project.Project{
		Dir: hostpath.Default().Project(heretest.Stack), Compose: []byte("services:\n  app:\n    image: reg/app:1\n  db:\n    image: reg/db:1\n"),
		Services: []project.Service{{Name: "app", Image: "reg/app:1"}, {Name: "db", Image: "reg/db:1"}}, Hash: "sha256:pair",
	}
	l.Engine.Ends = 143
	if receipt := l.Apply(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	return l
}

func (l *lived) control(t *testing.T, action agentapi.ControlAction, service string) error {
	t.Helper()
	_, err := l.agent().Control(t.Context(), agentapi.Control{Stack: heretest.Stack, Service: service, Action: action, Owner: "ann@laptop"}, progress.Discard())
	return err
}

// services are how the stack's services are, as salvor ps prints them.
func (l *lived) services(t *testing.T) string {
	t.Helper()
	list, err := l.agent().Services(t.Context(), agentapi.AskServices{Stacks: []string{heretest.Stack}}, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, row := range list.Stacks[0].Services {
		text := row.Name + " " + row.State
		if row.ByHand {
			text += " by hand"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// TestAServiceThatIsStoppedByHandStaysSo until it is started or the stack is applied: also
// over a boot, and whatever else of its stack is restarted meanwhile.
func TestAServiceThatIsStoppedByHandStaysSo(t *testing.T) {
	t.Parallel()
	l := newPair(t)
	check := func(after, want string) {
		t.Helper()
		if got := l.services(t); got != want {
			t.Errorf("after %s: %s, want %s", after, got, want)
		}
	}
	const up, without = "app running, db running", "app exited by hand, db running"
	for _, again := range []func() error{
		func() error { return l.control(t, agentapi.ActionStart, "app") },
		func() error { return l.control(t, agentapi.ActionRestart, "app") },
		func() error { return l.control(t, agentapi.ActionRestart, "") },
		func() error {
			state, _ := l.state(t)
			if !slices.ContainsFunc(state.Changes, func(c agentapi.Change) bool { return c.Cause == "stopped by hand: app" }) {
				t.Errorf("planned %+v", state.Changes)
			}
			if receipt := l.Apply(); receipt.Error != nil {
				return receipt.Error
			}
			return nil
		},
	} {
		check("a start", up)
		if err := l.control(t, agentapi.ActionStop, "app"); err != nil {
			t.Fatal(err)
		}
		check("a stop", without)
		if err := l.control(t, agentapi.ActionRestart, "db"); err != nil {
			t.Error(err)
		}
		check("a restart of the other", without)
		if receipt := l.Boot(); receipt.Error != nil {
			t.Error(receipt.Error)
		}
		check("a boot", without)
		if err := again(); err != nil {
			t.Error(err)
		}
	}
	check("an apply", up)
	if receipt := l.Boot(); receipt.Error != nil {
		t.Error(receipt.Error)
	}
	check("a boot without a note", up)
}

// TestARestartEndsACrashLoop: Docker waits up to a minute between its tries.
func TestARestartEndsACrashLoop(t *testing.T) {
	t.Parallel()
	l := newPair(t)
	for _, c := range l.Engine.Containers() {
		if c.Service == "db" {
			l.Engine.Set(c.ID, "restarting")
		}
	}
	if err := l.control(t, agentapi.ActionRestart, ""); err != nil || l.services(t) != "app running, db running" {
		t.Errorf("%s, %v", l.services(t), err)
	}
	l.Engine.OnStart = func(c stacktest.Container) int {
		if c.Service == "db" {
			return 1
		}
		return -1
	}
	err := l.control(t, agentapi.ActionRestart, "db")
	if err == nil || !strings.Contains(err.Error(), "service db: exited with code 1") || fault.Hint(err) != "salvor logs "+heretest.Stack+" db" {
		t.Errorf("%v, hint %s", err, fault.Hint(err))
	}
}

// TestNothingStartsByHandThatThisHostMayNotRun.
func TestNothingStartsByHandThatThisHostMayNotRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make func(l *lived)
		want string
	}{
		"it is declared stopped": {func(l *lived) { l.Stack.Stopped = true }, "is declared stopped"},
		"it is lost": {func(l *lived) {
			l.saveLocal(here.Local{Epoch: 1, Lost: true})
		}, "is not started here"},
		"it was released": {func(l *lived) { l.saveLocal(here.Local{Epoch: 1, Released: 1}) }, "was released for a move"},
		"it is placed at another epoch": {func(l *lived) {
			l.saveLocal(here.Local{Epoch: 0})
		}, "is not started here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newPair(t)
			for _, one := range l.Engine.Containers() {
				l.Engine.Set(one.ID, "exited")
			}
			c.make(l)
			l.Run() // what the host was asked to be
			for _, action := range []agentapi.ControlAction{agentapi.ActionStart, agentapi.ActionRestart} {
				if err := l.control(t, action, "app"); err == nil || !strings.Contains(err.Error(), c.want) || fault.Hint(err) == "" {
					t.Errorf("%s: %v", action, err)
				}
			}
			if got := l.services(t); got != "app exited, db exited" {
				t.Error(got)
			}
		})
	}
}

func (l *lived) saveLocal(local here.Local) {
	if err := l.SaveLocal(heretest.Stack, local); err != nil {
		panic(err)
	}
}

// TestAServiceIsNamedRight, and only a restart is of a whole stack.
func TestAServiceIsNamedRight(t *testing.T) {
	t.Parallel()
	l := newPair(t)
	if err := l.control(t, agentapi.ActionStop, "ap"); err == nil || !strings.Contains(err.Error(), `has no service "ap", did you mean "app"?`) {
		t.Error(err)
	}
	if err := l.control(t, agentapi.ActionStop, ""); err == nil {
		t.Error("a stop of everything")
	}
	if err := l.control(t, "destroy", "app"); err == nil {
		t.Error("an unknown action")
	}
	if got := l.services(t); got != "app running, db running" {
		t.Error(got)
	}
}

// TestASnapshotIsWaitedFor, and named.
func TestASnapshotIsWaitedFor(t *testing.T) {
	t.Parallel()
	l := newPair(t)
	lock, err := l.LockStack(t.Context(), heretest.Stack, here.Daemon, "snapshot")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	ctx, cancel := context.WithCancel(t.Context())
	var said progress.Event
	sink := progress.SinkFunc(func(e progress.Event) {
		said = e
		time.AfterFunc(here.LockPause, cancel)
	})
	_, err = l.agent().Control(ctx, agentapi.Control{Stack: heretest.Stack, Service: "app", Action: agentapi.ActionStop, Owner: "ann@laptop"}, sink)
	if !errors.As(err, new(*runlock.HeldError)) || l.services(t) != "app running, db running" {
		t.Errorf("%v, %s", err, l.services(t))
	}
	if said.Step != "wait for another run" {
		t.Errorf("said %+v", said)
	}
}
