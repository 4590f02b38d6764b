package keeper_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/project"
)

// newestFor is the snapshot that a host would restore.
func newestFor(t *testing.T, s *here.Stack) (string, error) {
	t.Helper()
	listed, err := keeper.ArchiveOf(agenttest.Opened(t, s)).ListForRestore(t.Context())
	if err != nil {
		return "", err
	}
	return keeper.Candidates(listed)[0].Info.ID, nil
}

// history is what is said of a stack's snapshots when the remote is asked.
func history(t *testing.T, s *here.Stack) []finding.Finding {
	t.Helper()
	a := keeper.ArchiveOf(agenttest.Opened(t, s))
	listed, err := a.ListForRestore(t.Context())
	if err != nil && !strings.Contains(err.Error(), keeper.ErrMissing.Error()) {
		t.Fatal(err)
	}
	return a.History(listed)
}

// TestS03ARepositoryThatWentBackGetsNoSnapshot: the remote has an older copy of the
// repository. No snapshot is taken, and a plan says so, until the operator gives up what
// is lost.
func TestS03ARepositoryThatWentBackGetsNoSnapshot(t *testing.T) {
	t.Parallel()
	h, remote := heretest.Host(t), t.TempDir()
	s := agenttest.WithRecord(t, h, remote, 1)
	newest := agenttest.Snapshots(t, s, "one", "two")[1]
	if err := os.Remove(filepath.Join(agenttest.RepositoryOn(remote), "snapshots", newest)); err != nil {
		t.Fatal(err)
	}
	k, again := keeper.New(h), keeper.Taking{Force: true, Stopped: true, Sink: progress.Discard()}
	defer k.Close(t.Context())
	if _, err := k.Take(t.Context(), s, again); err == nil || !strings.Contains(err.Error(), newest[:8]) {
		t.Errorf("taken: %v", err)
	}
	if f := agenttest.Only(t, k.HistoryNoted(s), finding.SnapshotRolledBack); f.Severity != finding.Fatal || f.Subject != "alpha/"+s.Name || f.Stack != s.Name {
		t.Errorf("a plan says %+v", f)
	}
	fresh := *s
	fresh.Consent = project.ConsentFresh
	if found := k.HistoryNoted(&fresh); len(found) != 0 {
		t.Errorf("started fresh, a plan says %+v", found)
	}
	again.Loss = true
	if r, err := k.Take(t.Context(), s, again); err != nil || r.Snapshot.Seq != 3 {
		t.Errorf("with consent: %+v, %v", r, err)
	}
	again.Loss = false
	if _, err := k.Take(t.Context(), s, again); err != nil || len(k.HistoryNoted(s)) != 0 {
		t.Errorf("afterwards: %v, %+v", err, k.HistoryNoted(s))
	}
}

// TestS03TheLockRemembersWhatTheRemotesForgot: who can delete on the remotes has
// removed the snapshots and what the record said of them. A host that never saw them
// has it from the lock.
func TestS03TheLockRemembersWhatTheRemotesForgot(t *testing.T) {
	t.Parallel()
	remote := t.TempDir()
	ids := agenttest.Snapshots(t, agenttest.WithRecord(t, heretest.Host(t), remote, 1), "one", "two")
	older, newest := ids[0], ids[1]
	for _, path := range []string{remote + "/record/proven", filepath.Join(agenttest.RepositoryOn(remote), "snapshots", newest)} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		locked map[string]fleet.Proven
		want   error
	}{
		"in the lock":     {map[string]fleet.Proven{"aaaa0001": {Epoch: 1, Seq: 2, ID: newest}}, keeper.ErrMissing},
		"of a later time": {map[string]fleet.Proven{"aaaa0001": {Epoch: 9, Seq: 2, ID: newest}}, nil},
	} {
		s := agenttest.WithRecord(t, heretest.Host(t), remote, 2)
		s.Proven = c.locked
		info, err := newestFor(t, s)
		if c.want != nil && !strings.Contains(here.ErrorText(err), c.want.Error()) || c.want == nil && (err != nil || info != older) {
			t.Errorf("%s: %s, %v", name, info, err)
		}
	}
}

// TestS13APlantedSnapshotIsNotRestored: a host that lost the stack, and still has the
// remote's credential and the password, puts snapshots there, each in its way newer
// than the one that was proven. None is restored.
func TestS13APlantedSnapshotIsNotRestored(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		epoch, seq int
		code       finding.Code
	}{
		"a later epoch":        {999, 1, finding.SnapshotFuture},
		"the next epoch":       {2, 1, finding.SnapshotUnproven},
		"a far number":         {1, 1 << 29, finding.SnapshotUnproven},
		"the very next number": {1, 3, finding.SnapshotUnproven},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			remote := t.TempDir()
			newest := agenttest.Snapshots(t, agenttest.WithRecord(t, heretest.Host(t), remote, 1), "one", "two")[1]
			planted := agenttest.Plant(t, remote, c.epoch, c.seq)

			s := agenttest.WithRecord(t, heretest.Host(t), remote, 2)
			if info, err := newestFor(t, s); err != nil || info != newest {
				t.Errorf("restored %.8s, %v, want %.8s", info, err, newest)
			}
			if f := agenttest.Only(t, history(t, s), c.code); !strings.Contains(f.Text, planted[:8]) {
				t.Errorf("status says %+v", f)
			}
			list, err := keeper.New(s.Host).ListSnapshots(t.Context(), s.Name)
			if err != nil || !slices.ContainsFunc(list.Snapshots, func(r agentapi.SnapshotRow) bool {
				return r.ID == planted && r.Future == (c.code == finding.SnapshotFuture) && r.Unproven == (c.code == finding.SnapshotUnproven)
			}) {
				t.Errorf("listed %+v, %v", list.Snapshots, err)
			}
			mine := agenttest.Snapshots(t, s, "three")[0]
			if info, err := newestFor(t, s); err != nil || info != mine {
				t.Errorf("after a snapshot of its own: %.8s, %v, want %.8s", info, err, mine)
			}
		})
	}
}

// TestS13ASilentRecordProvesNothing: a snapshot that is newer than what is known to be
// proven is not chosen, and nothing older either, while the record can't be asked.
func TestS13ASilentRecordProvesNothing(t *testing.T) {
	t.Parallel()
	remote := t.TempDir()
	older := agenttest.Snapshots(t, agenttest.WithRecord(t, heretest.Host(t), remote, 1), "one", "two")[0]
	s := agenttest.WithRecord(t, heretest.Host(t), remote, 2)
	s.Spec.Record.Remote = "none"
	s.Proven = map[string]fleet.Proven{"aaaa0001": {Epoch: 1, Seq: 1, ID: older}}
	if info, err := newestFor(t, s); err == nil {
		t.Errorf("restored %s", info)
	}
}

// TestS13ARecordOfALaterEpochProvesNothing: a note on the record remote whose epoch the
// placement has not reached hides none of those that count.
func TestS13ARecordOfALaterEpochProvesNothing(t *testing.T) {
	t.Parallel()
	remote := t.TempDir()
	s := agenttest.WithRecord(t, heretest.Host(t), remote, 1)
	newest := agenttest.Snapshots(t, s, "one")[0]
	forged := filepath.Join(remote, "record", "proven", s.Name, "999-1-aaaa0001-"+strings.Repeat("f", 64)+".json")
	if err := os.WriteFile(forged, []byte(`{"schema":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err := newestFor(t, agenttest.WithRecord(t, heretest.Host(t), remote, 2)); err != nil || info != newest {
		t.Errorf("restored %s, %v", info, err)
	}
}
