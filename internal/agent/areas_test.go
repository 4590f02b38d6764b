package agent

import (
	"context"
	"encoding/json"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/converge"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostprep"
	"salvor/internal/machine"
	"salvor/internal/machine/debiantest"
	"salvor/internal/stack"
)

func TestAreaChanges(t *testing.T) {
	t.Parallel()
	host := func(schema int, areas fleet.Areas) agentapi.Host { return agentapi.Host{Schema: schema, Manage: areas} }
	none := fleet.Areas{}
	for name, test := range map[string]struct {
		applied, want agentapi.Host
		facts         hostprep.Facts
		changes       []string
	}{
		"nothing changes":              {host(2, none), host(2, none), hostprep.Facts{}, nil},
		"of protocol 1, every one":     {host(1, nil), host(2, fleet.EveryArea()), hostprep.Facts{Engine: "docker.io"}, nil},
		"a new host":                   {host(0, nil), host(2, fleet.EveryArea()), hostprep.Facts{}, nil},
		"a new host with an engine":    {host(0, nil), host(2, fleet.EveryArea()), hostprep.Facts{Engine: "docker-ce"}, []string{"+ area docker: keeps docker-ce, which is installed"}},
		"a new host, left alone":       {host(0, nil), host(2, none), hostprep.Facts{Engine: "docker-ce"}, nil},
		"taken":                        {host(2, none), host(2, fleet.Areas{fleet.AreaTime}), hostprep.Facts{}, []string{"+ area time: Salvor takes care of it from now on"}},
		"updates are named":            {host(2, fleet.EveryArea()), host(2, fleet.KnownAreas()), hostprep.Facts{}, []string{"+ area updates: Salvor takes care of it from now on", "+ area ssh: Salvor takes care of it from now on", "+ area firewall: Salvor takes care of it from now on", "+ area tailnet: Salvor takes care of it from now on"}},
		"updates are not":              {host(1, nil), host(2, nil), hostprep.Facts{}, nil},
		"taken, with another's engine": {host(2, none), host(2, fleet.Areas{fleet.AreaDocker}), hostprep.Facts{Foreign: "/usr/bin/dockerd"}, []string{"+ area docker: keeps the engine /usr/bin/dockerd, which no package brought"}},
		"taken, with another's clock":  {host(2, none), host(2, fleet.Areas{fleet.AreaTime}), hostprep.Facts{TimeDaemon: "chrony"}, []string{"+ area time: keeps chrony, which is installed"}},
		"given back":                   {host(1, nil), host(2, none), hostprep.Facts{}, []string{"- area docker: left as it is from now on: nothing is removed", "- area time: left as it is from now on: nothing is removed"}},
	} {
		var got []string
		for _, c := range areaChanges(test.applied, test.want, test.facts) {
			got = append(got, c.Action+" "+c.ID+": "+c.Cause)
		}
		if diff := cmp.Diff(test.changes, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestAHostOfProtocol1IsWholly: its file has no areas, and it is not given back by being read.
func TestAHostOfProtocol1IsWholly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{`{"schema":1}`: true, `{"schema":2,"manage":null}`: true, `{"schema":2,"manage":[]}`: false} {
		var h agentapi.Host
		if err := json.Unmarshal([]byte(text), &h); err != nil || h.Manage.Has(fleet.AreaDocker) != want {
			t.Errorf("%s: %v, %v", text, h.Manage, err)
		}
		content, err := json.Marshal(h)
		var again agentapi.Host
		if err != nil || json.Unmarshal(content, &again) != nil || again.Manage.Has(fleet.AreaDocker) != want {
			t.Errorf("%s is written as %s", text, content)
		}
	}
}

// without is a machine that lacks an engine, or Compose.
type without struct {
	machine.Machine
	engine, compose bool
	folders         string // what ls prints of those of containers
}

// Dial implements machine.Machine.
func (m *without) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if !m.engine {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ENOENT}
	}
	return m.Machine.Dial(ctx, network, addr)
}

// Run implements machine.Machine.
func (m *without) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	if c.Argv[0] == "docker" && !m.compose {
		return machine.Output{}, &machine.ExitError{Argv: c.Argv, Code: 1, Stderr: []byte("docker: 'compose' is not a docker command.")}
	}
	if c.Argv[0] == "ls" {
		return machine.Output{Stdout: []byte(m.folders)}, nil
	}
	return m.Machine.Run(ctx, c)
}

// TestContainersOfWhateverOriginAreSeen, also those that do not run.
func TestContainersOfWhateverOriginAreSeen(t *testing.T) {
	stand := agenttest.NewStand(t, false, agenttest.Container{Name: "web", State: "running"}, agenttest.Container{Name: "old", Project: "shop", State: "exited"})
	for name, test := range map[string]struct {
		m      machine.Machine
		names  []string
		unseen string
	}{
		"an engine":           {stand.Engine, []string{"web", "old"}, ""},
		"none":                {&without{Machine: stand.Engine}, nil, ""},
		"an engine that ails": {debiantest.New(), nil, "connection refused"},
		"one that is stopped": {&without{Machine: stand.Engine, folders: "1a2b\n"}, nil, "does not run"},
	} {
		names, unseen := here.Containers(t.Context(), test.m)
		slices.Sort(names)
		slices.Sort(test.names)
		if !slices.Equal(names, test.names) || !strings.Contains(unseen, test.unseen) || test.unseen == "" && unseen != "" {
			t.Errorf("%s: %q, %q", name, names, unseen)
		}
	}
}

// TestARestartOfDockerNamesWhatItStops: containers of whatever origin, none with live-restore
// or where Docker is not restarted.
func TestARestartOfDockerNamesWhatItStops(t *testing.T) {
	unit := converge.Change{ID: "unit docker.service", Action: converge.Changes, Cause: "is old"}
	restarted := unit
	restarted.Restarts = true
	file := converge.Change{ID: "file /etc/docker/daemon.json", Action: converge.Changes, Cause: "a is not set"}
	for name, test := range map[string]struct {
		changes []converge.Change
		live    bool
		want    string
	}{
		"restarted":               {[]converge.Change{restarted}, false, "is old; the restart stops db, web"},
		"after its configuration": {[]converge.Change{file, unit}, false, "is old; the restart stops db, web"},
		"enabled alone":           {[]converge.Change{unit}, false, "is old"},
		"live-restore":            {[]converge.Change{restarted}, true, "is old"},
	} {
		stand := agenttest.NewStand(t, false, agenttest.Container{Name: "web", State: "running"}, agenttest.Container{Name: "db", Project: "shop", State: "running"}, agenttest.Container{Name: "old", State: "exited"})
		stand.Engine.Live = test.live
		got, err := planned(t.Context(), stand.Engine, &converge.Plan{Changes: test.changes})
		if err != nil || len(got) != len(test.changes) || got[len(got)-1].Cause != test.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestStacksWithoutAnEngineAreNotStarted: the plan says so of each, and of the host where
// nothing is to run there. A host whose Docker is Salvor's gets it by an apply.
func TestStacksWithoutAnEngineAreNotStarted(t *testing.T) {
	stand := agenttest.NewStand(t, false)
	spec := stand.Spec
	spec.Stacks = []agentapi.Stack{{Name: "down", Stopped: true}, {Name: "notes"}, {Name: "torn", Kept: true}}
	stacks := spec.Stacks
	for name, test := range map[string]struct {
		engine, compose bool
		manage          fleet.Areas
		stacks          []agentapi.Stack
		want            []string
	}{
		"all there":  {true, true, fleet.Areas{}, stacks, nil},
		"Salvor's":   {false, false, fleet.Areas{fleet.AreaDocker}, stacks, nil},
		"no engine":  {false, false, fleet.Areas{fleet.AreaTime}, stacks, []string{"fatal alpha/notes: no Docker engine answers on alpha: it is not started [engine-missing]"}},
		"no Compose": {true, false, fleet.Areas{}, stacks, []string{"fatal alpha/notes: Docker has no Compose plugin on alpha: it is not started [engine-missing]"}},
		"no stacks":  {false, false, fleet.Areas{}, nil, []string{"info alpha: no Docker engine answers: stacks can't run there [engine-missing]"}},
	} {
		m := &without{Machine: stand.Engine, engine: test.engine, compose: test.compose}
		h := here.Host{}
		h.Machine, h.Stacks = m, stack.New(m)
		spec.Manage, spec.Stacks = test.manage, test.stacks
		found, able, err := engineFindings(t.Context(), &h, spec)
		var got []string
		for _, f := range found {
			got = append(got, string(f.Severity)+" "+f.String())
			if f.Code != finding.EngineMissing || !strings.Contains(f.Fix, "salvor host take alpha docker") {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil || able != (test.want == nil) {
			t.Errorf("%s: able %v, %v %s", name, able, err, diff)
		}
		h.Stacks.Close()
	}
}

// TestUpgradesThatWaitForAReboot are a finding on a host that has them install themselves, and on no other.
func TestUpgradesThatWaitForAReboot(t *testing.T) {
	t.Parallel()
	h, spec := debiantest.New(), agentapi.Host{Name: "alpha", Manage: fleet.Areas{fleet.AreaUpdates}}
	said := func() string {
		t.Helper()
		found, err := rebootFindings(t.Context(), h, spec)
		if err != nil || len(found) > 1 {
			t.Fatal(found, err)
		}
		for _, f := range found {
			return f.String()
		}
		return ""
	}
	if got := said(); got != "" {
		t.Errorf("nothing waits: %s", got)
	}
	h.Put("/run/reboot-required", "*** System restart required ***\n", 0o644)
	if got := said(); got != "alpha: upgrades that are installed count only after a reboot [reboot-required]" {
		t.Error(got)
	}
	h.Put("/run/reboot-required.pkgs", "linux-image-6.12\nlibc6\nlibc6\n", 0o644)
	if got := said(); got != "alpha: upgrades that are installed count only after a reboot: libc6, linux-image-6.12 [reboot-required]" {
		t.Error(got)
	}
	if spec.Manage = nil; said() != "" {
		t.Error("a host that does not name the area is asked")
	}
}
