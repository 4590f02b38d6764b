package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
)

// began is a host with the stack, born, in a repository on remote.
func began(t *testing.T, h *Host, remote string, epoch int) (agentapi.Host, agentapi.Stack) {
	t.Helper()
	spec, st := agentapi.Host{Fleet: "home", Name: "alpha"}, heretest.Sealed(t, h.base(), remote, epoch, "aaaa0001")
	st.Volumes[0].Born = time.Unix(1, 0)
	spec.Stacks = []agentapi.Stack{st}
	if err := h.base().SaveSpec(spec); err != nil {
		t.Fatal(err)
	}
	return spec, st
}

// wrote starts the stack empty and takes a snapshot of each content.
func wrote(t *testing.T, h *Host, spec agentapi.Host, st agentapi.Stack, contents ...string) []string {
	t.Helper()
	v := h.base().At(spec, st).Protected()[0]
	if err := h.Snapshots.StartEmpty(st.Name, v, snapshot.Marker{Identity: h.base().At(spec, st).Identity("data"), Epoch: st.Epoch}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, content := range contents {
		heretest.Write(t, filepath.Join(v.Path, "note"), content)
		ids = append(ids, mustTake(t, h, st).Snapshot.ID)
	}
	return ids
}

func flipFile(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestARecoveryPassesOverWhatIsDamaged is fault V6 and V7: the newest snapshot is
// damaged. Another host takes the one before and says so, and the listing of an
// operator shows all.
func TestARecoveryPassesOverWhatIsDamaged(t *testing.T) {
	h, remote := newHost(t), t.TempDir()
	spec, st := began(t, h, remote, 1)
	ids := wrote(t, h, spec, st, "one", "two", "three")
	flipFile(t, filepath.Join(remote, heretest.Stack, "aaaa0001", "snapshots", ids[2]))

	rows, err := h.ListSnapshots(t.Context(), agentapi.Snapshots{Stack: st.Name}, progress.Discard())
	if err != nil || len(rows.Snapshots) != 3 || rows.Snapshots[0].Damaged == "" {
		t.Errorf("rows %+v, %v", rows.Snapshots, err)
	}
	other := newHost(t)
	spec, st = began(t, other, remote, 2)
	a, err := other.base().At(spec, st).Open()
	if err != nil {
		t.Fatal(err)
	}
	if decided, err := keeper.ArchiveOf(a).Decisions(t.Context()); err != nil || decided["data"].Action != snapshot.Hydrate {
		t.Fatalf("%+v, %v", decided, err)
	}
	r := startup.New(other.keeper(), spec, progress.Discard())
	r.Prepared()
	fetched, err := r.On(a).FetchNewest(t.Context(), other.base().At(spec, st).Protected(), nil)
	if err != nil || fetched.Info.ID != ids[1] {
		t.Fatalf("fetched %+v, %v", fetched, err)
	}
	if f := r.Receipt.Findings; len(f) != 1 || f[0].Code != finding.SnapshotDamaged || !strings.Contains(f[0].Text, ids[2][:8]) {
		t.Errorf("receipt says %+v", f)
	}
}

// TestAReadingBackIsFollowedByARepair is fault V8: the daily reading back finds a
// changed pack, its finding says to take a snapshot, and that heals it.
func TestAReadingBackIsFollowedByARepair(t *testing.T) {
	h, remote := newHost(t), t.TempDir()
	spec, st := began(t, h, remote, 1)
	wrote(t, h, spec, st, strings.Repeat("all of it ", 1000))
	packs, err := filepath.Glob(filepath.Join(remote, heretest.Stack, "aaaa0001", "data", "*", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	for _, p := range packs {
		flipFile(t, p)
	}
	if !h.doubts(t, spec, st) {
		t.Fatal("nothing was found")
	}
	if k := h.keeper().Condition(st.Name); k.Unread == "" || !k.Tried.IsZero() {
		t.Errorf("%+v: the next snapshot is not due at once", k)
	}
	if _, err := h.keeper().Take(t.Context(), h.base().At(spec, st), keeper.Taking{Stopped: true, Sink: progress.Discard()}); err != nil {
		t.Fatal(err) // no force: the data has not changed, and is taken all the same
	}
	if k := h.keeper().Condition(st.Name); k.Unread != "" {
		t.Errorf("what the snapshot examined is still a finding: %s", k.Unread)
	}
	for h.doubts(t, spec, st) {
		mustTake(t, h, st)
	}
	elsewhereOne(t, remote, strings.Repeat("all of it ", 1000))
}

// doubts reads all shares back and reports whether a pack is doubted afterwards.
func (h *Host) doubts(t *testing.T, spec agentapi.Host, st agentapi.Stack) bool {
	t.Helper()
	for day := range keeper.Shares {
		_ = h.keeper().RereadStack(t.Context(), h.base().At(spec, st), day) // says what the notes say
	}
	return len(keeper.ArchiveOf(h.base().At(spec, st)).Notes()["aaaa0001"].Suspects) > 0
}

// elsewhereOne restores the newest on a host that has nothing of the stack.
func elsewhereOne(t *testing.T, remote, want string) {
	t.Helper()
	h := newHost(t)
	spec, st := began(t, h, remote, 2)
	a, err := h.base().At(spec, st).Open()
	if err != nil {
		t.Fatal(err)
	}
	r := startup.New(h.keeper(), spec, progress.Discard())
	r.Prepared()
	fetched, err := r.On(a).FetchNewest(t.Context(), h.base().At(spec, st).Protected(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Snapshots.Place(t.Context(), fetched); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(h.Paths.Volumes, "data", "note")); err != nil || string(got) != want {
		t.Errorf("restored %d bytes, %v", len(got), err)
	}
}
