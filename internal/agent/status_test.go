package agent

import (
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/record"
)

func TestOwnership(t *testing.T) {
	for name, c := range map[string]struct {
		stack   agentapi.Stack
		local   here.Local
		verdict record.Verdict
		want    finding.Code
	}{
		"own":                       {verdict: record.Verdict{State: record.Own, MayStart: true}},
		"lost":                      {verdict: record.Verdict{State: record.Lost}, want: finding.Fenced},
		"lost after its release":    {local: here.Local{Epoch: 2, Released: 2}, verdict: record.Verdict{State: record.Lost}, want: finding.Fenced},
		"nobody answers":            {verdict: record.Verdict{State: record.Unknown, MayStart: true, Unfenced: true}, want: finding.UnfencedStart},
		"nobody answers, stopped":   {stack: agentapi.Stack{Stopped: true}, verdict: record.Verdict{State: record.Unknown, MayStart: true, Unfenced: true}},
		"released":                  {local: here.Local{Epoch: 2, Released: 2}, verdict: record.Verdict{State: record.Own}, want: finding.Released},
		"released, nobody answers":  {local: here.Local{Epoch: 2, Released: 2}, verdict: record.Verdict{State: record.Unknown, Unfenced: true}, want: finding.Released},
		"released at another epoch": {local: here.Local{Epoch: 2, Released: 1}, verdict: record.Verdict{State: record.Own}},
	} {
		t.Run(name, func(t *testing.T) {
			c.stack.Name, c.stack.Epoch = "notes", 2
			var got finding.Code
			for _, f := range whose("alpha", c.stack, c.local, c.verdict) {
				got = f.Code
			}
			if got != c.want {
				t.Errorf("finding %q, want %q", got, c.want)
			}
		})
	}
}

func TestKeeping(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for name, c := range map[string]struct {
		kept keeper.Condition
		rpo  time.Duration
		want finding.Code
	}{
		"never taken yet":         {},
		"in time":                 {kept: keeper.Condition{Good: now.Add(-20 * time.Minute)}},
		"late":                    {kept: keeper.Condition{Good: now.Add(-40 * time.Minute)}, want: finding.SnapshotLate},
		"late against its goal":   {kept: keeper.Condition{Good: now.Add(-11 * time.Minute)}, rpo: 5 * time.Minute, want: finding.SnapshotLate},
		"the last one failed":     {kept: keeper.Condition{Good: now, Findings: []finding.Finding{{Code: finding.VolumeEmpty}}}, want: finding.VolumeEmpty},
		"it does not read back":   {kept: keeper.Condition{Good: now, Unread: "pack 12: wrong hash"}, want: finding.SnapshotUnverified},
		"within its own patience": {kept: keeper.Condition{Good: now.Add(-9 * time.Minute)}, rpo: 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			st := agentapi.Stack{
				Name: "notes", RPO: c.rpo, PauseEvery: time.Minute, Targets: []agentapi.Target{{Every: 15 * time.Minute}},
				Volumes: []project.Volume{{Name: "data", Protect: fleet.Snapshot, Method: fleet.Pause}},
			}
			var got finding.Code
			for _, f := range c.kept.Report("alpha", st, now) {
				got = f.Code
			}
			if got != c.want {
				t.Errorf("finding %q, want %q", got, c.want)
			}
		})
	}
}
