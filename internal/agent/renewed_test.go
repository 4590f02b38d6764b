package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
)

// TestMain makes this binary the helper that runs restic, as salvord is.
func TestMain(m *testing.M) { os.Exit(heretest.Main(m)) }

func newHost(t *testing.T) *Host {
	t.Helper()
	return (*Host)(heretest.Host(t))
}

func mustTake(t *testing.T, h *Host, st agentapi.Stack) agentapi.SnapshotReceipt {
	t.Helper()
	receipt, err := h.keeper().Take(t.Context(), h.base().At(agentapi.Host{Fleet: "home", Name: "alpha"}, st), keeper.Taking{Stopped: true, Sink: progress.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

// count returns how many snapshots lie in a repository.
func count(t *testing.T, remote, id string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(remote, heretest.Stack, id, "snapshots", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// A repository is replaced while the stack lives: nothing is restored or started
// anew, the next snapshot makes the new repository, and what the former one has
// is found until then, here and on a host that never saw the stack.
func TestAReplacedRepositoryLosesNothing(t *testing.T) {
	h, remote, spec := newHost(t), t.TempDir(), agentapi.Host{Fleet: "home", Name: "alpha"}
	before := heretest.Sealed(t, h.base(), remote, 1, "aaaa0001")
	v := h.base().At(spec, before).Protected()[0]
	if err := h.Snapshots.StartEmpty(heretest.Stack, v, snapshot.Marker{Identity: h.base().At(spec, before).Identity("data"), Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	heretest.Write(t, filepath.Join(v.Path, "note"), "hello")
	first := mustTake(t, h, before)

	after := heretest.Sealed(t, h.base(), remote, 1, "aaaa0001", "bbbb0002")
	a, err := h.base().At(spec, after).Open()
	if err != nil {
		t.Fatal(err)
	}
	decided, err := keeper.ArchiveOf(a).Decisions(t.Context())
	if err != nil || decided["data"].Action != snapshot.Ready {
		t.Fatalf("%+v, %v: the data is here", decided, err)
	}
	if c, _, err := keeper.ArchiveOf(a).Newest(t.Context()); err != nil || c.Info.ID != first.Snapshot.ID || c.Target.Repository != "aaaa0001" {
		t.Errorf("newest before the first snapshot: %+v, %v", c, err)
	}
	elsewhere(t, remote, first.Snapshot.ID, "hello")

	// what was emptied by accident does not become the newest
	if err := os.Remove(filepath.Join(v.Path, "note")); err != nil {
		t.Fatal(err)
	}
	if _, err := h.keeper().Take(t.Context(), h.base().At(spec, after), keeper.Taking{Stopped: true, Sink: progress.Discard()}); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty volume was taken into the new repository: %v", err)
	}
	heretest.Write(t, filepath.Join(v.Path, "note"), "changed")
	second := mustTake(t, h, after)
	if c, _, err := keeper.ArchiveOf(a).Newest(t.Context()); err != nil || c.Info.ID != second.Snapshot.ID || c.Target.Repository != "bbbb0002" {
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
	if err := h.base().SaveSpec(spec); err != nil {
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
	st := heretest.Sealed(t, h.base(), remote, 2, "aaaa0001", "bbbb0002")
	st.Volumes[0].Born = st.Volumes[0].Born.AddDate(2025, 0, 0)
	a, err := h.base().At(spec, st).Open()
	if err != nil {
		t.Fatal(err)
	}
	decided, err := keeper.ArchiveOf(a).Decisions(t.Context())
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
	if err := h.base().At(spec, st).AllReady(); err != nil {
		t.Errorf("what was restored from the former repository is not the stack's: %v", err)
	}
}

func restoreNewest(ctx context.Context, h *Host, spec agentapi.Host, st agentapi.Stack, a *here.Stack, want string) error {
	r := startup.New(h.keeper(), spec, progress.Discard())
	r.Prepared()
	fetched, err := r.On(a).FetchNewest(ctx, h.base().At(spec, st).Protected(), nil)
	if err != nil {
		return err
	}
	if fetched.Info.ID != want {
		return fmt.Errorf("newest is %s, want %s", fetched.Info.ID, want)
	}
	return h.Snapshots.Place(ctx, fetched)
}
