package deploy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/hostlink"
	"salvor/internal/terminal"
)

// The builds of two operators, who speak one protocol.
const (
	olderBuild = "0.1.0+20261101000000.aaaaaaaaaaaa"
	newerBuild = "0.1.0+20261129074500.bbbbbbbbbbbb"
)

func runs(salvord, own string) Observation {
	return Observation{State: agentapi.HostState{Salvord: salvord, Fingerprint: "f"}, Own: own}
}

// TestTwoBuilds: whatever two operators do in turn, a host only ever gets a newer salvord.
func TestTwoBuilds(t *testing.T) {
	plan := func(o Observation) HostPlan {
		return MakePlan(threeHosts(), "c", nil, map[string]Observation{"alpha": o}).Hosts[0]
	}
	update := []agentapi.Change{{ID: "salvord", Action: "~", Cause: olderBuild + " -> " + newerBuild}}
	cases := map[string]struct {
		seen Observation
		want HostPlan
	}{
		"the same build":  {runs(newerBuild, newerBuild), HostPlan{}},
		"an older host":   {runs(olderBuild, newerBuild), HostPlan{Updates: true, Changes: update}},
		"a newer host":    {runs(newerBuild, olderBuild), HostPlan{Newer: newerBuild}},
		"older protocol":  {Observation{State: agentapi.HostState{Salvord: olderBuild, Fingerprint: "f"}, New: true, Own: newerBuild}, HostPlan{New: true, Changes: update}},
		"nothing there":   {Observation{State: agentapi.HostState{Fingerprint: "f"}, New: true, Own: newerBuild}, HostPlan{New: true}},
		"it does not say": {runs("", newerBuild), HostPlan{}},
	}
	for name, c := range cases {
		c.want.Host, c.want.Fingerprint = "alpha", "f"
		if diff := cmp.Diff(c.want, plan(c.seen)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestAPlanSaysWhatBuildsRun(t *testing.T) {
	p := MakePlan(threeHosts(), "1a2b3c4d5e", nil, map[string]Observation{
		"alpha": runs(newerBuild, olderBuild), "beta": runs(olderBuild, olderBuild),
	})
	if !p.Empty() {
		t.Error("a newer salvord is something to do")
	}
	var got bytes.Buffer
	p.Render(terminal.NewPage(&got, false))
	if want := "alpha runs a newer salvord (" + newerBuild + "): left as it is."; !strings.Contains(got.String(), want) {
		t.Errorf("%s\nlacks %s", got.String(), want)
	}
	p = MakePlan(threeHosts(), "1a2b3c4d5e", nil, map[string]Observation{"alpha": runs(olderBuild, newerBuild)})
	if p.Empty() {
		t.Error("an older salvord is nothing to do")
	}
	got.Reset()
	p.Render(terminal.NewPage(&got, false))
	if want := "  ~ salvord   " + olderBuild + " -> " + newerBuild; !strings.Contains(got.String(), want) || strings.Contains(got.String(), "not installed") {
		t.Errorf("%s\nlacks %s", got.String(), want)
	}
}

// TestTooOldForAHost: the operator must upgrade; nothing was lost.
func TestTooOldForAHost(t *testing.T) {
	seen := Observation{Err: fault.WithHint(fmt.Errorf("alpha runs salvord 9: %w", hostlink.ErrNewer), "install salvor 9")}
	p := MakePlan(threeHosts(), "1a2b3c4d5e", nil, map[string]Observation{"alpha": seen})
	var got bytes.Buffer
	p.Render(terminal.NewPage(&got, false))
	if !strings.Contains(got.String(), "unreachable: alpha runs salvord 9: it is newer\n  install salvor 9\n") || strings.Contains(got.String(), "recover") {
		t.Error(got.String())
	}
}
