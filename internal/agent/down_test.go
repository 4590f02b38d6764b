package agent

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/progress"
)

// TestWhatIsDownIsAFinding, with the reason; what ended well or by hand is none.
func TestWhatIsDownIsAFinding(t *testing.T) {
	t.Parallel()
	l := newPair(t)
	long := time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		row  agentapi.ServiceRow
		code finding.Code
		says string
	}{
		"runs":               {agentapi.ServiceRow{State: "running"}, "", ""},
		"is paused":          {agentapi.ServiceRow{State: "paused"}, "", ""},
		"is done":            {agentapi.ServiceRow{State: "exited", Done: true}, "", ""},
		"is stopped by hand": {agentapi.ServiceRow{State: "exited", Exit: 143, ByHand: true}, "", ""},
		"ended":              {agentapi.ServiceRow{State: "exited", Exit: 2}, finding.ServiceDown, "does not run: it ended with exit code 2"},
		"has no container":   {agentapi.ServiceRow{State: "missing"}, finding.ServiceDown, "it has no container"},
		"could not start":    {agentapi.ServiceRow{State: "created", Error: "port is taken"}, finding.ServiceDown, "port is taken"},
		"is unhealthy":       {agentapi.ServiceRow{State: "running", Health: "unhealthy"}, finding.ServiceDown, "is unhealthy"},
		"restarts":           {agentapi.ServiceRow{State: "restarting", Exit: 1, Restarts: 12}, finding.CrashLoop, "keeps ending: exit code 1, restarted 12 times"},
		"runs for a moment":  {agentapi.ServiceRow{State: "running", Restarts: 12, Since: time.Now()}, finding.CrashLoop, "keeps ending"},
		"runs again":         {agentapi.ServiceRow{State: "running", Restarts: 12, Since: long}, "", ""},
	} {
		c.row.Name = "app"
		found := l.agent().serviceFindings(t.Context(), l.Here(), []agentapi.ServiceRow{c.row})
		if got := agenttest.Codes(found); got != string(c.code) || got != "" && !strings.Contains(found[0].Text, c.says) {
			t.Errorf("one that %s: %+v", name, found)
		}
	}
}

// TestAnotherHostKnowsTheNewestSnapshot: of a host that does not answer, by the record.
func TestAnotherHostKnowsTheNewestSnapshot(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	l.recorded(t, new(atomic.Bool))
	taken := l.Take().Snapshot
	other := (*Host)(agenttest.WithRecord(t, heretest.Host(t), l.Remote, 2).Host)
	newest, err := other.Newest(t.Context(), agentapi.AskNewest{Stacks: map[string]int{heretest.Stack: 1, "unknown": 1}}, progress.Discard())
	if got := newest.Stacks[heretest.Stack]; err != nil || len(newest.Stacks) != 1 || got.ID != taken.ID || time.Since(got.At) > time.Minute {
		t.Errorf("%+v, %v, want %.8s", newest, err, taken.ID)
	}
	if _, err := (&Host{Paths: heretest.Host(t).Paths}).Newest(t.Context(), agentapi.AskNewest{Stacks: map[string]int{heretest.Stack: 1}}, progress.Discard()); err == nil {
		t.Error("a host without stacks knows it")
	}
}
