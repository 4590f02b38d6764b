package agent

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/record"
	"salvor/internal/version"
)

// TestS03StatusSaysThatARepositoryWentBack: the remote has an older copy of the repository.
func TestS03StatusSaysThatARepositoryWentBack(t *testing.T) {
	t.Parallel()
	h, remote := heretest.Host(t), t.TempDir()
	s := agenttest.WithRecord(t, h, remote, 1)
	newest := agenttest.Snapshots(t, s, "one", "two")[1]
	if err := os.Remove(filepath.Join(agenttest.RepositoryOn(remote), "snapshots", newest)); err != nil {
		t.Fatal(err)
	}
	agenttest.WithEngine(t, h)
	state, err := (*Host)(h).Status(t.Context(), agentapi.Observe{}, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	if state.Salvord != version.String() { // salvor version --hosts asks status
		t.Errorf("status does not say which build answers: %q", state.Salvord)
	}
	if f := agenttest.Only(t, state.Findings, finding.SnapshotRolledBack); f.Severity != finding.Fatal || f.Subject != "alpha/"+s.Name || f.Stack != s.Name {
		t.Errorf("status says %+v", f)
	}
}

// TestS13StatusNamesAPlantedSnapshot: a host that lost the stack, and still has the
// remote's credential and the password, put one there.
func TestS13StatusNamesAPlantedSnapshot(t *testing.T) {
	t.Parallel()
	for epoch, code := range map[int]finding.Code{999: finding.SnapshotFuture, 2: finding.SnapshotUnproven} {
		remote := t.TempDir()
		agenttest.Snapshots(t, agenttest.WithRecord(t, heretest.Host(t), remote, 1), "one")
		planted := agenttest.Plant(t, remote, epoch, 1)
		s := agenttest.WithRecord(t, heretest.Host(t), remote, 2)
		agenttest.WithEngine(t, s.Host)
		state, err := (*Host)(s.Host).Status(t.Context(), agentapi.Observe{}, progress.Discard())
		if err != nil {
			t.Fatal(err)
		}
		if f := agenttest.Only(t, state.Findings, code); !strings.Contains(f.Text, planted[:8]) {
			t.Errorf("status says %+v", f)
		}
	}
}

// TestS05AForgedNoteHidesNoSnapshot: a host that lost the stack notes on the record that
// snapshots of its own are the newest, signed by its key or not at all. The one that the
// stack's host proved is restored, and each note is a finding.
func TestS05AForgedNoteHidesNoSnapshot(t *testing.T) {
	t.Parallel()
	remote := t.TempDir()
	s := agenttest.WithRecord(t, heretest.Host(t), remote, 2)
	newest := agenttest.Snapshots(t, s, "one")[0]
	dir := "proven/" + s.Name + "/"
	forged := map[string]string{dir + "2-9-aaaa0001-" + strings.Repeat("e", 64) + ".json": `{"schema":1,"at":"2026-01-02T03:04:05Z"}`}
	thief := dir + "2-8-aaaa0001-" + strings.Repeat("f", 64) + ".json"
	signed, err := heretest.NewKey().Enclose(record.ProvenKind, thief, []byte(`{"schema":1,"at":"2026-01-02T03:04:05Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	forged[thief] = string(signed)
	forged["facts/"+s.Name+"/3-9-alpha.json"] = `{"schema":1,"host":"alpha","at":"2026-01-02T03:04:05Z"}`
	if err := os.MkdirAll(filepath.Join(remote, "record", "facts", s.Name), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, content := range forged {
		heretest.Write(t, filepath.Join(remote, "record", path), content)
	}
	s = agenttest.WithRecord(t, heretest.Host(t), remote, 3)
	if fetched, _, err := agenttest.Fetch(t, s); err != nil || fetched.Info.ID != newest {
		t.Errorf("restored %+v, %v", fetched, err)
	}
	agenttest.WithEngine(t, s.Host)
	state, err := (*Host)(s.Host).Status(t.Context(), agentapi.Observe{}, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, f := range state.Findings {
		if f.Code == finding.RecordIgnored {
			named = append(named, f.Subject)
		}
	}
	if slices.Sort(named); !slices.Equal(named, slices.Sorted(maps.Keys(forged))) {
		t.Errorf("status names %q", named)
	}
}

// TestStatusNamesAMissingSnapshot: a snapshot that is known and not listed is a
// finding, also while the stack runs well.
func TestStatusNamesAMissingSnapshot(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	l.Run()
	status := func() string {
		t.Helper()
		state, err := l.agent().Status(t.Context(), agentapi.Observe{}, progress.Discard())
		if err != nil {
			t.Fatal(err)
		}
		return agenttest.Codes(state.Findings)
	}
	if found := status(); strings.Contains(found, "missing") {
		t.Errorf("while it is there: %s", found)
	}
	if err := os.Remove(filepath.Join(l.Remote, heretest.Stack, "aaaa0001", "snapshots", l.Old.Snapshot.ID)); err != nil {
		t.Fatal(err)
	}
	if found := status(); strings.Count(found, "snapshot-history-lost")+strings.Count(found, "snapshot-rolled-back") != 1 {
		t.Errorf("once it is gone: %s", found)
	}
}

// TestKeptOutside: a stack whose data is kept elsewhere has no snapshot, and has data.
func TestKeptOutside(t *testing.T) {
	t.Parallel()
	got := keptOutside([]project.Volume{
		{Name: "@@mnt@nas", Source: "/mnt/nas", Protect: fleet.External}, {Name: "db", Source: "db", Protect: fleet.Snapshot},
		{Name: "team", Source: "team", Protect: fleet.Shared}, {Name: "cache", Source: "cache", Protect: fleet.None},
	})
	if !slices.Equal(got, []string{"/mnt/nas"}) { // status has a line of its own for what is shared
		t.Error(got)
	}
}
