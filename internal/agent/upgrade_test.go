package agent

import (
	"errors"
	"os"
	"strings"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/progress"
	"salvor/internal/stack/stacktest"
)

// migrates is a version 2 that rewrites its data and fails; version 1 counts as
// broken on data that is not its own.
func (l *lived) migrates() {
	l.runs("reg/app:2")
	l.engine.OnStart = func(c stacktest.Container) int {
		switch {
		case strings.HasPrefix(c.Image, "reg/app:2"):
			heretest.Write(l.t, l.note, "format 2 of "+l.data())
			return 1
		case strings.HasPrefix(l.data(), "format 2"):
			l.t.Errorf("version 1 was started on %q", l.data())
		}
		return -1
	}
}

func (l *lived) image() string {
	for _, c := range l.engine.Containers() {
		if c.State == "running" {
			return c.Image
		}
	}
	return ""
}

// checkBack is the end of every failed upgrade: version 1 runs on all that it has
// acknowledged, nothing else would be recovered, and status says so.
func (l *lived) checkBack() {
	l.t.Helper()
	if l.data() != "written since" || l.image() != "reg/app:1@sha256:1" {
		l.t.Errorf("%s runs on %q", l.image(), l.data())
	}
	u := l.base().Attempt(heretest.Stack)
	if u.State != here.AttemptFailed || u.Before == "" || l.newest().ID != u.Before {
		l.t.Errorf("noted %+v, the newest snapshot is %s", u, l.newest().ID)
	}
	state, _ := l.state()
	if codes(state.Findings) != string(finding.NotAsCommitted) || !strings.Contains(state.Findings[0].Text, u.Before[:8]) {
		l.t.Errorf("findings: %+v", state.Findings)
	}
	list, err := l.ListSnapshots(l.t.Context(), agentapi.Snapshots{Stack: heretest.Stack}, progress.Discard())
	if err != nil {
		l.t.Fatal(err)
	}
	diverged := 0
	for _, s := range list.Snapshots {
		if s.Diverged {
			diverged++
			if s.ID != u.After || s.Images["app"] != "reg/app:2@sha256:2" {
				l.t.Errorf("what version 2 wrote: %+v", s)
			}
		}
	}
	if diverged != 1 {
		l.t.Errorf("%d snapshots of what version 2 wrote", diverged)
	}
}

// TestAFailedUpgradeGoesBackWithItsData is fault V16: version 1 was put back onto
// the data that version 2 had migrated.
func TestAFailedUpgradeGoesBackWithItsData(t *testing.T) {
	l := newLived(t)
	l.migrates()
	receipt := l.apply()
	u := l.base().Attempt(heretest.Stack)
	if receipt.Error == nil || !strings.Contains(receipt.Error.Text, u.Before[:8]) || !strings.Contains(receipt.Error.Text, u.After[:8]) {
		t.Errorf("%+v", receipt.Error)
	}
	l.checkBack()
	if receipt := l.boot(); receipt.Error != nil || receipt.Outcome != "started" {
		t.Errorf("the next boot: %+v", receipt)
	}
	l.checkBack()
	// the rollback finds what it asks for, and ends the finding: so it is a change
	asked := l.spec
	l.runs("reg/app:1")
	asked.Stacks = []agentapi.Stack{l.st}
	var plan agentapi.HostState
	if err := l.observeStacks(t.Context(), asked, &plan); err != nil || len(plan.Changes) != 1 || !strings.Contains(plan.Changes[0].Cause, "is taken back") {
		t.Errorf("planned %+v, %v", plan.Changes, err)
	}
	if receipt := l.apply(); receipt.Error != nil || receipt.Outcome != "untouched" {
		t.Errorf("the rollback: %+v", receipt)
	}
	if state, _ := l.state(); codes(state.Findings) != "" || len(state.Changes) > 0 {
		t.Errorf("%+v", state)
	}
}

// A good upgrade leaves nothing behind, and a snapshot of the last that the old
// version wrote.
func TestAnUpgradeThatWorks(t *testing.T) {
	l := newLived(t)
	l.runs("reg/app:2")
	if receipt := l.apply(); receipt.Error != nil || l.image() != "reg/app:2@sha256:2" || l.data() != "written since" {
		t.Errorf("%+v, %s on %q", receipt, l.image(), l.data())
	}
	if u := l.base().Attempt(heretest.Stack); u.State != "" {
		t.Errorf("noted: %+v", u)
	}
	if l.newest().Seq <= l.old.Snapshot.Seq {
		t.Error("no snapshot was taken")
	}
}

// With the remote away at the worst moment nothing runs on data that is not its
// own; when it is back the daemon goes on.
func TestTheWayBackWaitsForTheRemote(t *testing.T) {
	l := newLived(t)
	l.migrates()
	fails := l.engine.OnStart
	l.engine.OnStart = func(c stacktest.Container) int {
		code := fails(c)
		if code == 1 {
			if err := errors.Join(os.Rename(l.remote, l.remote+".away"), os.WriteFile(l.remote, nil, 0o600)); err != nil {
				t.Error(err)
			}
		}
		return code
	}
	if receipt := l.apply(); receipt.Error == nil || l.image() != "" {
		t.Fatalf("%+v, %s runs", receipt.Error, l.image())
	}
	if state, _ := l.state(); codes(state.Findings) != string(finding.NotAsCommitted) {
		t.Errorf("%+v", state.Findings)
	}
	if err := errors.Join(os.Remove(l.remote), os.Rename(l.remote+".away", l.remote)); err != nil {
		t.Fatal(err)
	}
	if err := (&daemon{l.Host}).finishRuns(t.Context(), progress.Discard()); err != nil {
		t.Fatal(err)
	}
	l.checkBack()
}

// TestAFailedDeployIsAFinding is newcomer's item 20: a deploy that failed was
// forgotten by the next morning.
func TestAFailedDeployIsAFinding(t *testing.T) {
	l := newLived(t)
	l.st.Volumes = nil
	l.runs("reg/app:2")
	l.engine.OnStart = func(c stacktest.Container) int {
		if strings.HasPrefix(c.Image, "reg/app:2") {
			return 1
		}
		return -1
	}
	if receipt := l.apply(); receipt.Error == nil || l.image() != "reg/app:1@sha256:1" {
		t.Fatalf("%+v, %s runs", receipt.Error, l.image())
	}
	state, _ := l.state()
	if codes(state.Findings) != string(finding.NotAsCommitted) || !strings.Contains(state.Findings[0].Text, "exited with code 1") {
		t.Errorf("%+v", state.Findings)
	}
	l.engine.OnStart = nil
	if receipt := l.apply(); receipt.Error != nil {
		t.Errorf("%+v", receipt)
	}
	if state, _ := l.state(); codes(state.Findings) != "" {
		t.Errorf("%+v", state.Findings)
	}
}
