package cli

import (
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/fleet"
)

// TestStatusIsTrue is the faults D19, D24 and F9: "none" for a snapshot that could
// not be asked for, exit code 0 with a host gone and a service down, a one-shot that
// ended well counted as not up.
func TestStatusIsTrue(t *testing.T) {
	well := agentapi.StackState{Name: "oneshot", Verdict: agentapi.VerdictOwn, Services: []agentapi.ServiceRow{
		{Name: "app", State: "running"}, {Name: "prep", State: "exited", Done: true},
	}}
	down := agentapi.StackState{Name: "shop", Verdict: agentapi.VerdictOwn, Services: []agentapi.ServiceRow{{Name: "db", State: "restarting"}}}
	away := agentapi.StackState{Name: "wiki", Volumes: []agentapi.VolumeRow{{Name: "data"}}, SnapshotUnknown: "remote unreachable"}
	stopped := agentapi.StackState{Name: "old", Stopped: true, Services: []agentapi.ServiceRow{{Name: "app", State: "exited"}}}
	tests := map[string]struct {
		host   deploy.HostStatus
		code   int
		screen []string
	}{
		"well":    {deploy.HostStatus{Host: "alpha", State: agentapi.HostState{Stacks: []agentapi.StackState{well, stopped}}}, fault.OK, []string{"1 of 1 up, 1 done", "stopped"}},
		"down":    {deploy.HostStatus{Host: "alpha", State: agentapi.HostState{Stacks: []agentapi.StackState{down}}}, fault.Partial, []string{"0 of 1 up"}},
		"no host": {deploy.HostStatus{Host: "beta", Error: "beta: host unreachable: no answer in 10s", Hint: "if beta is lost permanently: salvor recover beta --to HOST", Placed: []string{"shop", "wiki"}}, fault.Unreachable, []string{"beta   shop            unknown    unknown", "\nbeta: host unreachable", "salvor recover beta"}},
		"unknown": {deploy.HostStatus{Host: "alpha", State: agentapi.HostState{Stacks: []agentapi.StackState{away}}}, fault.OK, []string{"unknown", "the newest snapshot of wiki is not known: remote unreachable"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if err := printStatus(&out, []deploy.HostStatus{test.host}, called(&fleet.Fleet{})); err != nil {
				t.Fatal(err)
			}
			for _, want := range test.screen {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not in\n%s", want, out.String())
				}
			}
			for line := range strings.Lines(out.String()) {
				if strings.Contains(line, "unknown") && len(line) > 100 {
					t.Errorf("a row of %d columns", len(line))
				}
			}
			err := unwell([]deploy.HostStatus{test.host})
			if code, _ := fault.Code(err); err != nil && code != test.code || err == nil && test.code != fault.OK {
				t.Errorf("ends with %v, want code %d", err, test.code)
			}
		})
	}
}
