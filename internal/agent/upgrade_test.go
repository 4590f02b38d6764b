package agent

import (
	"errors"
	"os"
	"strings"
	"testing"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/progress"
	"salvor/internal/stack/stacktest"
)

// With the remote away at the worst moment nothing runs on data that is not its own;
// when it is back the daemon continues.
func TestTheWayBackWaitsForTheRemote(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	l.Migrates()
	fails := l.Engine.OnStart
	l.Engine.OnStart = func(c stacktest.Container) int {
		code := fails(c)
		if code == 1 {
			if err := errors.Join(os.Rename(l.Remote, l.Remote+".away"), os.WriteFile(l.Remote, nil, 0o600)); err != nil {
				t.Error(err)
			}
		}
		return code
	}
	if receipt := l.Apply(); receipt.Error == nil || l.Image() != "" {
		t.Fatalf("%+v, %s runs", receipt.Error, l.Image())
	}
	if state, _ := l.state(t); agenttest.Codes(state.Findings) != string(finding.NotAsCommitted) {
		t.Errorf("%+v", state.Findings)
	}
	if err := errors.Join(os.Remove(l.Remote), os.Rename(l.Remote+".away", l.Remote)); err != nil {
		t.Fatal(err)
	}
	if err := (&daemon{l.agent()}).finishRuns(t.Context(), progress.Discard()); err != nil {
		t.Fatal(err)
	}
	l.CheckBack()
}

// TestARollbackOfAFailedUpgradeIsAChange: it finds what it asks for, and ends the finding.
func TestARollbackOfAFailedUpgradeIsAChange(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	l.Migrates()
	if receipt := l.Apply(); receipt.Error == nil {
		t.Fatal("version 2 runs")
	}
	if state, _ := l.state(t); agenttest.Codes(state.Findings) != string(finding.NotAsCommitted) {
		t.Errorf("%+v", state.Findings)
	}
	asked := l.Spec
	l.Runs("reg/app:1")
	asked.Stacks = []agentapi.Stack{l.Stack}
	var plan agentapi.HostState
	if err := l.agent().observeStacks(t.Context(), asked, &plan); err != nil || len(plan.Changes) != 1 || !strings.Contains(plan.Changes[0].Cause, "is reverted") {
		t.Errorf("planned %+v, %v", plan.Changes, err)
	}
	if receipt := l.Apply(); receipt.Error != nil {
		t.Error(receipt.Error)
	}
	if state, _ := l.state(t); agenttest.Codes(state.Findings) != "" || len(state.Changes) > 0 {
		t.Errorf("%+v", state)
	}
}
