package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/journal"
	"salvor/internal/machine/local"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/secret/agekey"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/nsexec"
	"salvor/internal/stack"
)

// TestMain makes this binary the helper that runs restic, as salvord is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "ns-exec" {
		if err := nsexec.Main(os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// newHost is a host with real snapshots in a folder; it skips where restic or
// root is missing, unless the lab is required.
func newHost(t *testing.T) *Host {
	t.Helper()
	program, err := exec.LookPath("restic")
	if missing := err != nil || os.Getuid() != 0; missing && os.Getenv("SALVOR_LAB") == "require" {
		t.Fatal("restic and root are required", err)
	} else if missing {
		t.Skip("needs restic and root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := hostpath.Layout{Config: dir + "/etc", State: dir + "/state", Run: dir + "/run", Volumes: dir + "/volumes"}
	for _, d := range []string{p.Config, p.State, p.Run, p.Volumes} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return &Host{
		Machine: local.Machine{}, Stacks: stack.New(local.Machine{}), Paths: p, Journal: journal.Journal{Dir: p.State + "/journal"},
		Snapshots: snapshot.Engine{
			Host: local.Machine{}, Helper: []string{self, "ns-exec"}, Restic: program, Progress: progress.Discard(),
			Dirs: p,
		},
	}
}

const renewed = "notes-renewed-test" // a stack that no machine has

// sealedFor returns the stack as this host gets it, its target with the given
// repositories, newest last.
func sealedFor(t *testing.T, h *Host, remote string, epoch int, repositories ...string) agentapi.Stack {
	t.Helper()
	if _, err := agekey.EnsureHost(h.Paths.Identity()); err != nil {
		t.Fatal(err)
	}
	file := agentapi.SealedFile{Remotes: map[string]agentapi.SealedRemote{"disk": {Type: "local"}}, Repositories: map[string][]byte{}}
	for _, id := range repositories {
		file.Repositories[id] = []byte(strings.Repeat(id, 20))
	}
	last := len(repositories) - 1
	st := agentapi.Stack{
		Name: renewed, Epoch: epoch,
		Volumes: []project.Volume{{Name: "data", Path: filepath.Join(h.Paths.Volumes, "data"), Protect: fleet.Snapshot, Method: fleet.Live}},
		Targets: []agentapi.Target{{Name: "offsite", Where: fleet.Location{Remote: "disk", Path: remote}, Repository: repositories[last], Former: repositories[:last]}},
	}
	sealFor(t, h, &st, "alpha", file)
	return st
}

func mustTake(t *testing.T, h *Host, st agentapi.Stack) agentapi.SnapshotReceipt {
	t.Helper()
	receipt, err := h.keeper().take(t.Context(), h.base().at(agentapi.Host{Fleet: "home", Name: "alpha"}, st), taking{stopped: true, sink: progress.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

// count returns how many snapshots are in a repository.
func count(t *testing.T, remote, id string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(remote, renewed, id, "snapshots", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// A repository is replaced while the stack lives: nothing is restored or started
// again, the next snapshot creates the new repository, and what the former one has is
// found until then, here and on a host that never saw the stack.
func TestAReplacedRepositoryLosesNothing(t *testing.T) {
	h, remote, spec := newHost(t), t.TempDir(), agentapi.Host{Fleet: "home", Name: "alpha"}
	before := sealedFor(t, h, remote, 1, "aaaa0001")
	v := h.base().at(spec, before).protected()[0]
	if err := h.Snapshots.StartEmpty(renewed, v, snapshot.Marker{Identity: h.base().at(spec, before).identity("data"), Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(v.Path, "note"), "hello")
	first := mustTake(t, h, before)

	after := sealedFor(t, h, remote, 1, "aaaa0001", "bbbb0002")
	a, err := h.base().at(spec, after).open()
	if err != nil {
		t.Fatal(err)
	}
	decided, err := h.keeper().decisions(t.Context(), a)
	if err != nil || decided["data"].Action != snapshot.Ready {
		t.Fatalf("%+v, %v: the data is here", decided, err)
	}
	if c, _, err := h.keeper().newest(t.Context(), a); err != nil || c.info.ID != first.Snapshot.ID || c.target.Repository != "aaaa0001" {
		t.Errorf("newest before the first snapshot: %+v, %v", c, err)
	}
	elsewhere(t, remote, first.Snapshot.ID, "hello")

	// what was emptied by accident does not become the newest
	if err := os.Remove(filepath.Join(v.Path, "note")); err != nil {
		t.Fatal(err)
	}
	if _, err := h.keeper().take(t.Context(), h.base().at(spec, after), taking{stopped: true, sink: progress.Discard()}); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty volume was taken into the new repository: %v", err)
	}
	write(t, filepath.Join(v.Path, "note"), "changed")
	second := mustTake(t, h, after)
	if c, _, err := h.keeper().newest(t.Context(), a); err != nil || c.info.ID != second.Snapshot.ID || c.target.Repository != "bbbb0002" {
		t.Errorf("newest after the first snapshot: %+v, %v", c, err)
	}
	if old, now := count(t, remote, "aaaa0001"), count(t, remote, "bbbb0002"); old != 1 || now != 1 {
		t.Errorf("%d snapshots in the former repository, %d in the present one", old, now)
	}
	checkRows(t, h, spec, after, first.Snapshot.ID, second.Snapshot.ID)
	elsewhere(t, remote, second.Snapshot.ID, "changed")
}

// checkRows lists the snapshots as an operator does.
func checkRows(t *testing.T, h *Host, spec agentapi.Host, st agentapi.Stack, old, now string) {
	t.Helper()
	spec.Stacks = []agentapi.Stack{st}
	if err := h.base().saveSpec(spec); err != nil {
		t.Fatal(err)
	}
	list, err := h.ListSnapshots(t.Context(), agentapi.Snapshots{Stack: st.Name}, progress.Discard())
	if err != nil || len(list.Snapshots) != 2 {
		t.Fatalf("%+v, %v", list.Snapshots, err)
	}
	if s := list.Snapshots; s[0].ID != old || s[0].Former != 1 || s[1].ID != now || s[1].Former != 0 || !s[0].Before(s[1]) {
		t.Errorf("listed %+v", s)
	}
}

// elsewhere brings the stack up on a host that has nothing of it, at the next
// epoch, from a placement whose repository was replaced.
func elsewhere(t *testing.T, remote, want, content string) {
	t.Helper()
	h, spec := newHost(t), agentapi.Host{Fleet: "home", Name: "alpha"}
	st := sealedFor(t, h, remote, 2, "aaaa0001", "bbbb0002")
	st.Volumes[0].Born = st.Volumes[0].Born.AddDate(2025, 0, 0)
	a, err := h.base().at(spec, st).open()
	if err != nil {
		t.Fatal(err)
	}
	decided, err := h.keeper().decisions(t.Context(), a)
	if err != nil || decided["data"].Action != snapshot.Hydrate {
		t.Fatalf("%+v, %v", decided, err)
	}
	if err := restoreNewest(t.Context(), h, spec, st, a, want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(h.Paths.Volumes, "data", "note"))
	if err != nil || string(got) != content {
		t.Errorf("restored %q, %v", got, err)
	}
	if err := h.base().at(spec, st).allReady(); err != nil {
		t.Errorf("what was restored from the former repository is not the stack's: %v", err)
	}
}

func restoreNewest(ctx context.Context, h *Host, spec agentapi.Host, st agentapi.Stack, a *Stack, want string) error {
	r := newRun(h.keeper(), spec, progress.Discard())
	close(r.restic)
	fetched, err := r.fetchNewest(ctx, a, h.base().at(spec, st).protected(), nil)
	if err != nil {
		return err
	}
	if fetched.Info.ID != want {
		return fmt.Errorf("newest is %s, want %s", fetched.Info.ID, want)
	}
	return h.Snapshots.Place(ctx, fetched)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
