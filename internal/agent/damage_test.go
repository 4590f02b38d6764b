package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
)

// began is a host with the stack, born, in a repository on remote.
func began(t *testing.T, h *Host, remote string, epoch int) (agentapi.Host, agentapi.Stack) {
	t.Helper()
	spec, st := agentapi.Host{Fleet: "home", Name: "alpha"}, sealedFor(t, h, remote, epoch, "aaaa0001")
	st.Volumes[0].Born = time.Unix(1, 0)
	spec.Stacks = []agentapi.Stack{st}
	if err := h.base().saveSpec(spec); err != nil {
		t.Fatal(err)
	}
	return spec, st
}

// wrote starts the stack empty and takes a snapshot of each content.
func wrote(t *testing.T, h *Host, spec agentapi.Host, st agentapi.Stack, contents ...string) []string {
	t.Helper()
	v := h.base().at(spec, st).protected()[0]
	if err := h.Snapshots.StartEmpty(st.Name, v, snapshot.Marker{Identity: h.base().at(spec, st).identity("data"), Epoch: st.Epoch}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, content := range contents {
		write(t, filepath.Join(v.Path, "note"), content)
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
// damaged. Another host takes the previous one and says so, and the listing of an
// operator shows all.
func TestARecoveryPassesOverWhatIsDamaged(t *testing.T) {
	h, remote := newHost(t), t.TempDir()
	spec, st := began(t, h, remote, 1)
	ids := wrote(t, h, spec, st, "one", "two", "three")
	flipFile(t, filepath.Join(remote, renewed, "aaaa0001", "snapshots", ids[2]))

	rows, err := h.ListSnapshots(t.Context(), agentapi.Snapshots{Stack: st.Name}, progress.Discard())
	if err != nil || len(rows.Snapshots) != 3 || rows.Snapshots[0].Damaged == "" {
		t.Errorf("rows %+v, %v", rows.Snapshots, err)
	}
	other := newHost(t)
	spec, st = began(t, other, remote, 2)
	a, err := other.base().at(spec, st).open()
	if err != nil {
		t.Fatal(err)
	}
	if decided, err := other.keeper().decisions(t.Context(), a); err != nil || decided["data"].Action != snapshot.Hydrate {
		t.Fatalf("%+v, %v", decided, err)
	}
	r := newRun(other.keeper(), spec, progress.Discard())
	close(r.restic)
	fetched, err := r.fetchNewest(t.Context(), a, other.base().at(spec, st).protected(), nil)
	if err != nil || fetched.Info.ID != ids[1] {
		t.Fatalf("fetched %+v, %v", fetched, err)
	}
	if f := r.receipt.Findings; len(f) != 1 || f[0].Code != finding.SnapshotDamaged || !strings.Contains(f[0].Text, ids[2][:8]) {
		t.Errorf("receipt says %+v", f)
	}
}

// TestAReadingBackIsFollowedByARepair is fault V8: the daily reading back finds a
// changed pack, its finding says to take a snapshot, and that heals it.
func TestAReadingBackIsFollowedByARepair(t *testing.T) {
	h, remote := newHost(t), t.TempDir()
	spec, st := began(t, h, remote, 1)
	wrote(t, h, spec, st, strings.Repeat("all of it ", 1000))
	packs, err := filepath.Glob(filepath.Join(remote, renewed, "aaaa0001", "data", "*", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	for _, p := range packs {
		flipFile(t, p)
	}
	if !h.doubts(t, spec, st) {
		t.Fatal("nothing was found")
	}
	if k := h.keeper().kept(st.Name); k.Unread == "" || !k.Tried.IsZero() {
		t.Errorf("%+v: the next snapshot is not due at once", k)
	}
	if _, err := h.keeper().take(t.Context(), h.base().at(spec, st), taking{stopped: true, sink: progress.Discard()}); err != nil {
		t.Fatal(err) // no force: the data has not changed, and is taken anyway
	}
	if k := h.keeper().kept(st.Name); k.Unread != "" {
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
	for day := range shares {
		_ = h.keeper().rereadStack(t.Context(), h.base().at(spec, st), day) // says what the notes say
	}
	return len(h.keeper().repositoryNotes(st.Name)["aaaa0001"].Suspects) > 0
}

// elsewhereOne restores the newest on a host that has nothing of the stack.
func elsewhereOne(t *testing.T, remote, want string) {
	t.Helper()
	h := newHost(t)
	spec, st := began(t, h, remote, 2)
	a, err := h.base().at(spec, st).open()
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(h.keeper(), spec, progress.Discard())
	close(r.restic)
	fetched, err := r.fetchNewest(t.Context(), a, h.base().at(spec, st).protected(), nil)
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
