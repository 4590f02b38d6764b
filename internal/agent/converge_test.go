package agent

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/hostprep"
	"salvor/internal/journal"
	"salvor/internal/machine"
	"salvor/internal/machine/debiantest"
	"salvor/internal/memdir"
	"salvor/internal/progress"
	"salvor/internal/stack"
)

// clean is a new Debian 13 in memory, with salvord on it. What Salvor notes down is in a
// folder of the test.
func clean(t *testing.T, m func(*debiantest.Host) machine.Machine) (*Host, *debiantest.Host) {
	t.Helper()
	debian := debiantest.New()
	for _, name := range []string{"ca-certificates", "restic", "docker-cli", "docker-compose", "sqlite3"} {
		debian.Available[name] = debiantest.Package{Version: "1.0"}
	}
	debian.Available["docker.io"] = debiantest.Package{Version: "26.1", Unit: "docker.service"}
	debian.Available["systemd-timesyncd"] = debiantest.Package{Version: "257", Unit: "systemd-timesyncd.service"}
	debian.Available["unattended-upgrades"] = debiantest.Package{Version: "2.12", Unit: "unattended-upgrades.service"}
	debian.Put(hostpath.Salvord, "program", 0o755)
	debian.Put("/root/.profile", "", 0o644)
	debian.Put("/etc/apt/apt.conf.d/01autoremove", "", 0o644)
	for _, unit := range []string{"apt-daily.timer", "apt-daily-upgrade.timer", "systemd-journald.service"} {
		debian.Put("/usr/lib/systemd/system/"+unit, "[Unit]\n", 0o644)
		debian.Start(unit)
	}
	dir := t.TempDir()
	h := &Host{
		Machine: m(debian), Paths: hostpath.Layout{Config: dir + "/etc", State: dir + "/state", Run: dir + "/run", Volumes: dir + "/volumes"},
		Journal: journal.Journal{Dir: dir + "/journal"},
		Edges:   here.Edges{Mount: func(string) (memdir.Kind, error) { return "", nil }},
	}
	h.Stacks = stack.New(h.Machine)
	t.Cleanup(h.Stacks.Close)
	return h, debian
}

func whole(d *debiantest.Host) machine.Machine { return &without{Machine: d} }

func convergeRequest() agentapi.Converge {
	return agentapi.Converge{Owner: "ann@laptop", SQLite: true, Host: agentapi.Host{
		Schema: agentapi.Schema, Fleet: "home", Name: "alpha", Commit: "c1", Manage: slices.DeleteFunc(fleet.KnownAreas(), func(a fleet.Area) bool { return onlyByApply(a) != "" }),
		SSH: agentapi.SSH{User: "root", Keys: []string{"ssh-ed25519 AAAA salvor-fleet"}}, Git: agentapi.Git{URL: "git@g:f"},
	}}
}

// TestUpgradesKeepNothingFromStarting: they are installed once the host is ready for stacks, and an apply says that they
// could not be.
func TestUpgradesKeepNothingFromStarting(t *testing.T) {
	h, debian := clean(t, whole)
	delete(debian.Available, "unattended-upgrades")
	req := agentapi.Apply{Owner: "ann@laptop", Host: convergeRequest().Host}
	receipt, err := h.Apply(t.Context(), req, progress.Discard())
	if err == nil || !strings.Contains(err.Error(), "packages updates") {
		t.Errorf("it ended with %v", err)
	}
	var phases []string
	for _, p := range receipt.Phases {
		phases = append(phases, p.Name)
	}
	if diff := cmp.Diff([]string{"prepare the host", "security upgrades"}, phases); diff != "" {
		t.Error(diff)
	}
	if !slices.ContainsFunc(receipt.Changed, func(c agentapi.Change) bool { return c.ID == "unit salvord.service" }) {
		t.Errorf("the host is not ready: %+v", receipt.Changed)
	}
	debian.Available["unattended-upgrades"] = debiantest.Package{Version: "2.12", Unit: "unattended-upgrades.service"}
	if _, err := h.Apply(t.Context(), req, progress.Discard()); err != nil {
		t.Error(err)
	}
}

// pendingOf returns what an answer says that is not right.
func pendingOf(c agentapi.Converged) []string {
	var all []string
	for _, r := range c.Resources {
		if r.State != agentapi.ConvergingRight {
			all = append(all, string(r.State)+" "+r.Action+" "+r.ID+": "+r.Cause)
		}
	}
	return all
}

// wouldApply is what an apply of the same would change on the host.
func wouldApply(t *testing.T, h *Host, want agentapi.Host) []string {
	t.Helper()
	facts, err := hostprep.Look(t.Context(), h.Machine)
	if err != nil {
		t.Fatal(err)
	}
	applied, err := h.Spec()
	if err != nil {
		t.Fatal(err)
	}
	plan, err := h.preparation(t.Context(), facts, want)
	if err != nil {
		t.Fatal(err)
	}
	all, err := planned(t.Context(), h.Machine, plan)
	if err != nil {
		t.Fatal(err)
	}
	all = append(areaChanges(applied, want, facts), all...)
	var said []string
	for _, c := range append(all, settingsChanges(applied, want, all)...) {
		said = append(said, c.Action+" "+c.ID+": "+c.Cause)
	}
	return said
}

// TestConverge is the law: a look changes nothing, what is right afterwards stays so, and an
// apply of the same has nothing to do.
func TestConverge(t *testing.T) {
	t.Parallel()
	h, debian := clean(t, whole)
	req, before := convergeRequest(), debian.State()
	checked, err := Converge(t.Context(), h, req, ConvergeOptions{Check: true}, progress.Discard())
	if err != nil || !checked.Changed || !checked.Check || len(pendingOf(checked)) == 0 {
		t.Fatalf("%+v, %v", checked, err)
	}
	if debian.State() != before {
		t.Error("a look changed the host")
	}
	if _, err := os.Stat(h.Paths.Spec()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a look wrote: %v", err)
	}
	done, err := Converge(t.Context(), h, req, ConvergeOptions{}, progress.Discard())
	if err != nil || !done.Changed {
		t.Fatalf("%+v, %v", done, err)
	}
	if diff := cmp.Diff(pendingOf(checked), strings.Split(strings.ReplaceAll(strings.Join(pendingOf(done), "\n"), "done ", "pending "), "\n")); diff != "" {
		t.Errorf("the look and the change differ: %s", diff)
	}
	right, noted := debian.State(), written(t, h)
	again, err := Converge(t.Context(), h, req, ConvergeOptions{}, progress.Discard())
	if err != nil || again.Changed || len(pendingOf(again)) > 0 || len(again.Resources) < 15 {
		t.Errorf("a second time: %v, %v", pendingOf(again), err)
	}
	if debian.State() != right || cmp.Diff(noted, written(t, h)) != "" {
		t.Error("a second time changed the host")
	}
	if would := wouldApply(t, h, req.Host); len(would) > 0 {
		t.Errorf("an apply would still: %q", would)
	}
	debian.Put("/etc/apt/apt.conf.d/60salvor", "drifted", 0o644)
	drift, err := Converge(t.Context(), h, req, ConvergeOptions{Check: true}, progress.Discard())
	if diff := cmp.Diff([]string{"pending ~ file /etc/apt/apt.conf.d/60salvor: its content differs from line 1 on"}, pendingOf(drift)); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
}

// written are the files that Salvor keeps of the host.
func written(t *testing.T, h *Host) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(filepath.Dir(h.Paths.Config), func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(at, ".lock") {
			return err
		}
		content, err := os.ReadFile(at)
		all[at] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// cutting fails one call of its machine, and each after it.
type cutting struct {
	machine.Machine
	left atomic.Int64
}

var errCutting = errors.New("cut by the test")

func (m *cutting) pass() error {
	if m.left.Add(-1) < 0 {
		return errCutting
	}
	return nil
}

// Run implements machine.Machine.
func (m *cutting) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	if err := m.pass(); err != nil {
		return machine.Output{}, err
	}
	return m.Machine.Run(ctx, c)
}

// WriteFile implements machine.Machine.
func (m *cutting) WriteFile(ctx context.Context, path string, content io.Reader, mode fs.FileMode) error {
	if err := m.pass(); err != nil {
		return err
	}
	return m.Machine.WriteFile(ctx, path, content, mode)
}

// TestConvergeIsInterruptedAnywhere: a second run finishes it, and the answer of the first
// says what was done.
func TestConvergeIsInterruptedAnywhere(t *testing.T) {
	t.Parallel()
	for calls := int64(0); ; calls += 3 {
		var cut *cutting
		h, _ := clean(t, func(d *debiantest.Host) machine.Machine {
			cut = &cutting{Machine: d}
			return cut
		})
		cut.left.Store(calls)
		first, err := Converge(t.Context(), h, convergeRequest(), ConvergeOptions{}, progress.Discard())
		if err == nil {
			if calls < 30 {
				t.Fatalf("it ended after %d calls", calls)
			}
			return
		}
		if !errors.Is(err, errCutting) {
			t.Fatalf("after %d calls: %v", calls, err)
		}
		if failed := strings.Join(pendingOf(first), "\n"); len(first.Resources) > 0 && !strings.Contains(failed, "failed ") && !strings.Contains(failed, "skipped ") {
			t.Errorf("after %d calls it says %s", calls, failed)
		}
		cut.left.Store(1 << 40)
		if _, err := Converge(t.Context(), h, convergeRequest(), ConvergeOptions{}, progress.Discard()); err != nil {
			t.Fatalf("after %d calls, the second run: %v", calls, err)
		}
		if would := wouldApply(t, h, convergeRequest().Host); len(would) > 0 {
			t.Errorf("after %d calls an apply would still: %q", calls, would)
		}
	}
}

// TestConvergeOneArea leaves the others, and says of them in the plan what was said before.
func TestConvergeOneArea(t *testing.T) {
	t.Parallel()
	h, debian := clean(t, whole)
	req := convergeRequest()
	if _, err := Converge(t.Context(), h, req, ConvergeOptions{Only: []fleet.Area{fleet.AreaUpdates}}, progress.Discard()); err != nil {
		t.Fatal(err)
	}
	if state := debian.State(); !strings.Contains(state, "unattended-upgrades") || strings.Contains(state, "docker.io") {
		t.Errorf("only updates made\n%s", state)
	}
	if spec, err := h.Spec(); err != nil || spec.Manage.String() != "updates" {
		t.Errorf("it is asked for %s, %v", spec.Manage, err)
	}
	if would := strings.Join(wouldApply(t, h, req.Host), "\n"); !strings.Contains(would, "+ area docker: Salvor takes care of it from now on") || strings.Contains(would, "area updates") {
		t.Errorf("an apply would: %s", would)
	}
	again, err := Converge(t.Context(), h, req, ConvergeOptions{Only: []fleet.Area{fleet.AreaUpdates}}, progress.Discard())
	if err != nil || again.Changed {
		t.Errorf("a second time: %q, %v", pendingOf(again), err)
	}
}

// TestConvergeLeavesStacks as they are noted, with the commit that they are of.
func TestConvergeLeavesStacks(t *testing.T) {
	t.Parallel()
	h, _ := clean(t, whole)
	applied := agentapi.Host{Fleet: "home", Name: "alpha", Commit: "c0", Manage: fleet.Areas{}, Own: &agentapi.Stack{Name: "host.alpha"}, Stacks: []agentapi.Stack{{Name: "notes", Epoch: 3}}}
	if err := h.base().SaveSpec(applied); err != nil {
		t.Fatal(err)
	}
	if _, err := Converge(t.Context(), h, convergeRequest(), ConvergeOptions{}, progress.Discard()); err != nil {
		t.Fatal(err)
	}
	now, err := h.Spec()
	if err != nil || now.Commit != "c0" || now.Own == nil || len(now.Stacks) != 1 || now.Stacks[0].Epoch != 3 || now.Git.URL != "git@g:f" {
		t.Errorf("%+v, %v", now, err)
	}
}

// TestConvergeRefuses what it can't do, and writes nothing.
func TestConvergeRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		only   fleet.Area
		host   func(*agentapi.Host)
		damage bool
		want   string
		code   int
	}{
		"an area that can lock out":  {only: "ssh", want: "converge does not take care of the area ssh: it can lock you out", code: fault.Usage},
		"a word":                     {only: "dokcer", want: `"dokcer" is not an area, want one of docker, time, updates`, code: fault.Usage},
		"an area that needs a key":   {only: "tailnet", want: "the area tailnet: joining needs a key", code: fault.Usage},
		"an area of the host's own":  {only: fleet.AreaTime, host: func(h *agentapi.Host) { h.Manage = fleet.Areas{} }, want: "salvor does not take care of the area time on alpha", code: fault.Usage},
		"a user that is not there":   {host: func(h *agentapi.Host) { h.SSH.User = "ops" }, want: "the host has no user ops"},
		"a fleet.json that is empty": {damage: true, want: "fleet.json"},
	} {
		h, debian := clean(t, whole)
		req, o := convergeRequest(), ConvergeOptions{}
		if test.host != nil {
			test.host(&req.Host)
		}
		if test.only != "" {
			o.Only = []fleet.Area{test.only}
		}
		if test.damage {
			if err := errors.Join(os.MkdirAll(h.Paths.Config, 0o700), os.WriteFile(h.Paths.Spec(), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		before := debian.State()
		_, err := Converge(t.Context(), h, req, o, progress.Discard())
		code, _ := fault.Code(err)
		if err == nil || !strings.Contains(err.Error(), test.want) || code != test.code {
			t.Errorf("%s: %v, code %d", name, err, code)
		}
		if debian.State() != before {
			t.Errorf("%s: it changed the host", name)
		}
	}
}

// TestAreasThatLockOutAreLeft where a host has them, and the answer says so.
func TestAreasThatLockOutAreLeft(t *testing.T) {
	t.Parallel()
	want := agentapi.Host{Manage: fleet.Areas{fleet.AreaTime, "ssh"}}
	asked, now := areas(agentapi.Host{Schema: agentapi.Schema, Manage: fleet.Areas{"ssh"}}, want, nil)
	if asked.String() != "time" || now.String() != "time, ssh" {
		t.Errorf("asked for %s, then %s", asked, now)
	}
	if left := leftAreas(want, nil); len(left) != 1 || left[0].Area != "ssh" || !strings.Contains(left[0].Why, "salvor apply") {
		t.Errorf("%+v", left)
	}
}
