package agent

import (
	"errors"
	"fmt"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/record"
	"salvor/internal/storage"
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
		"no answer":                 {verdict: record.Verdict{State: record.Unknown, MayStart: true, Unfenced: true}, want: finding.UnfencedStart},
		"no answer, stopped":        {stack: agentapi.Stack{Stopped: true}, verdict: record.Verdict{State: record.Unknown, MayStart: true, Unfenced: true}},
		"released":                  {local: here.Local{Epoch: 2, Released: 2}, verdict: record.Verdict{State: record.Own}, want: finding.HandedOver},
		"handed over, no answer":    {local: here.Local{Epoch: 2, Released: 2}, verdict: record.Verdict{State: record.Unknown, Unfenced: true}, want: finding.HandedOver},
		"released at another epoch": {local: here.Local{Epoch: 2, Released: 1}, verdict: record.Verdict{State: record.Own}},
	} {
		t.Run(name, func(t *testing.T) {
			c.stack.Name, c.stack.Epoch = "notes", 2
			var got finding.Code
			for _, f := range ownershipFindings("alpha", c.stack, c.local, c.verdict) {
				got = f.Code
			}
			if got != c.want {
				t.Errorf("finding %q, want %q", got, c.want)
			}
		})
	}
}

// TestADeniedLoginIsAFinding wherever among the errors of several remotes it is.
func TestADeniedLoginIsAFinding(t *testing.T) {
	away := errors.New("nas does not answer")
	if got := denied("alpha", errors.Join(away, nil)); len(got) > 0 {
		t.Errorf("%+v", got)
	}
	err := errors.Join(away, fmt.Errorf("record remote: %w", &storage.Denied{Remote: "drive"}))
	if got := denied("alpha", err); len(got) != 1 || got[0].Code != finding.RemoteDenied || got[0].Subject != "alpha/drive" || got[0].Fix != "salvor remote renew drive, then salvor apply" {
		t.Errorf("%+v", got)
	}
}
