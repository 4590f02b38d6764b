package startup_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/snapshot"
)

// decided is what must happen to the stack's volume before it starts.
func decided(t *testing.T, s *here.Stack) snapshot.Decision {
	t.Helper()
	all, err := keeper.ArchiveOf(agenttest.Opened(t, s)).Decisions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all["data"]
}

// TestTheNewestSnapshotIsMissed is fault V12: the listing lacks the newest snapshot,
// and another host does not silently take the previous one.
func TestTheNewestSnapshotIsMissed(t *testing.T) {
	t.Parallel()
	h, remote := heretest.Host(t), t.TempDir()
	id := agenttest.Snapshots(t, agenttest.WithRecord(t, h, remote, 1), "one", "two")[1]
	path := filepath.Join(agenttest.RepositoryOn(remote), "snapshots", id)
	if err := os.Rename(path, remote+"/hidden"); err != nil {
		t.Fatal(err)
	}

	s := agenttest.Opened(t, agenttest.WithRecord(t, heretest.Host(t), remote, 2))
	if _, _, err := agenttest.Fetch(t, s); !errors.Is(err, keeper.ErrMissing) || !strings.Contains(err.Error(), id[:8]) {
		t.Errorf("fetched: %v", err)
	}
	if d := decided(t, s); d.Action != snapshot.Refuse || !strings.Contains(d.Hint, "--snapshot") {
		t.Errorf("%+v", d)
	}
	if err := os.Rename(remote+"/hidden", path); err != nil {
		t.Fatal(err)
	}
	if fetched, _, err := agenttest.Fetch(t, s); err != nil || fetched.Info.ID != id {
		t.Errorf("once it is listed: %v", err)
	}
}

// TestALossThatIsAcceptedRestoresTheNewestThatIsLeft is fault V12: with the consent
// of a recovery the newest snapshot that is there is restored, and it is said what
// is lost. It counts for no stack that ran here already.
func TestALossThatIsAcceptedRestoresTheNewestThatIsLeft(t *testing.T) {
	t.Parallel()
	s, older, newest := agenttest.LostNewest(t)
	s = agenttest.Opened(t, s)
	refused := func(when string) {
		t.Helper()
		if d := decided(t, s); d.Action != snapshot.Refuse || !strings.Contains(d.Hint, "salvor recover with --accept-loss for the newest that is left, "+older[:8]) {
			t.Errorf("%s: %+v", when, d)
		}
	}
	refused("without consent")
	s.AcceptLoss = true
	ran := func(epoch int) {
		t.Helper()
		if err := here.WriteJSON(s.Host.Paths.Placement(s.Name), here.Local{Schema: agentapi.Schema, Epoch: epoch}); err != nil {
			t.Fatal(err)
		}
	}
	ran(s.Epoch)
	refused("it ran here at this epoch")
	ran(s.Epoch - 1)

	if d := decided(t, s); d.Action != snapshot.Hydrate {
		t.Fatalf("with consent: %+v", d)
	}
	fetched, receipt, err := agenttest.Fetch(t, s)
	if err != nil || fetched.Info.ID != older {
		t.Fatalf("fetched %+v, %v", fetched, err)
	}
	found := receipt.Findings
	if len(found) != 1 || found[0].Code != finding.SnapshotRolledBack || !strings.Contains(found[0].Text, newest[:8]) || !strings.Contains(found[0].Text, older[:8]+" of ") || !strings.Contains(found[0].Text, "lost, that is ") {
		t.Errorf("findings %+v", found)
	}
}

// TestTheRecordOpensARepositoryWhoseKeyIsDamaged is fault V7 on a host that never
// saw the repository.
func TestTheRecordOpensARepositoryWhoseKeyIsDamaged(t *testing.T) {
	t.Parallel()
	remote := t.TempDir()
	id := agenttest.Snapshots(t, agenttest.WithRecord(t, heretest.Host(t), remote, 1), "one")[0]
	keys, err := filepath.Glob(filepath.Join(agenttest.RepositoryOn(remote), "keys", "*"))
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	agenttest.Flip(t, keys[0])
	if err := os.Remove(filepath.Join(agenttest.RepositoryOn(remote), "config")); err != nil {
		t.Fatal(err)
	}
	if fetched, _, err := agenttest.Fetch(t, agenttest.WithRecord(t, heretest.Host(t), remote, 2)); err != nil || fetched.Info.ID != id {
		t.Errorf("fetched: %v", err)
	}
}

// TestARecoveryPassesOverWhatIsDamaged is fault V6 and V7: the newest snapshot is
// damaged. Another host takes the previous one and says so, and the listing of an
// operator shows all.
func TestARecoveryPassesOverWhatIsDamaged(t *testing.T) {
	t.Parallel()
	h, remote := heretest.Host(t), t.TempDir()
	ids := agenttest.Snapshots(t, agenttest.Began(t, h, remote, 1), "one", "two", "three")
	agenttest.Flip(t, filepath.Join(agenttest.RepositoryOn(remote), "snapshots", ids[2]))

	rows, err := keeper.New(h).ListSnapshots(t.Context(), heretest.Stack)
	if err != nil || len(rows.Snapshots) != 3 || rows.Snapshots[0].Damaged == "" {
		t.Errorf("rows %+v, %v", rows.Snapshots, err)
	}
	s := agenttest.Opened(t, agenttest.Began(t, heretest.Host(t), remote, 2))
	if d := decided(t, s); d.Action != snapshot.Hydrate {
		t.Fatalf("%+v", d)
	}
	fetched, receipt, err := agenttest.Fetch(t, s)
	if err != nil || fetched.Info.ID != ids[1] {
		t.Fatalf("fetched %+v, %v", fetched, err)
	}
	if f := receipt.Findings; len(f) != 1 || f[0].Code != finding.SnapshotDamaged || !strings.Contains(f[0].Text, ids[2][:8]) {
		t.Errorf("receipt says %+v", f)
	}
}

// classes are a stack's volumes of every class, as Docker volumes and as binds.
func classes(h *here.Host) (all []project.Volume) {
	for _, class := range []fleet.Protection{fleet.Snapshot, fleet.Shared, fleet.External, fleet.HostPath, fleet.Config, fleet.None} {
		name := string(class)
		all = append(all,
			project.Volume{Name: name, Docker: "notes_" + name, Protect: class, Method: fleet.Live},
			project.Volume{Name: "@" + name, Path: filepath.Join(h.Paths.State, "data", "notes", "@"+name), Protect: class, Method: fleet.Live})
	}
	return all
}

// fillAll writes a note into the place of every volume.
func fillAll(t *testing.T, s *here.Stack, content string) {
	t.Helper()
	for _, v := range s.Volumes {
		if err := os.MkdirAll(s.Host.VolumePath(v), 0o755); err != nil {
			t.Fatal(err)
		}
		heretest.Write(t, filepath.Join(s.Host.VolumePath(v), "note"), content)
	}
}

// TestEveryClassOfVolume takes, loses and restores volumes of every class: what is in
// snapshots comes back, and what is in the place of any other stays as it is.
func TestEveryClassOfVolume(t *testing.T) {
	t.Parallel()
	remote := t.TempDir()
	s := agenttest.WithRecord(t, heretest.Host(t), remote, 1)
	s.Volumes = classes(s.Host)
	for _, v := range s.Protected() {
		if err := s.Host.Snapshots.StartEmpty(s.Name, v, snapshot.Marker{Identity: s.Identity(v.Name), Epoch: s.Epoch}); err != nil {
			t.Fatal(err)
		}
	}
	fillAll(t, s, "of the stack")
	agenttest.Take(t, s)

	s = agenttest.WithRecord(t, heretest.Host(t), remote, 2)
	s.Volumes = classes(s.Host)
	fillAll(t, s, "of this host")
	agenttest.Restore(t, s)
	for _, v := range s.Volumes {
		want := "of this host"
		if v.Protect == fleet.Snapshot {
			want = "of the stack"
		}
		if got, err := os.ReadFile(filepath.Join(s.Host.VolumePath(v), "note")); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", v.Name, got, err, want)
		}
	}
}
