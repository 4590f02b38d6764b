package keeper_test

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
	"salvor/internal/progress"
	"salvor/internal/snapshot"
)

// TestAcceptedLossWaitsForATargetThatIsAway: what does not answer may have the
// snapshot.
func TestAcceptedLossWaitsForATargetThatIsAway(t *testing.T) {
	t.Parallel()
	s, _, _ := agenttest.LostNewest(t)
	s.AcceptLoss = true
	s = agenttest.Opened(t, s)
	away := s.Targets[0]
	away.Name, away.Where.Remote = "away", "none"
	s.Targets = append(s.Targets, away)
	if _, err := keeper.ArchiveOf(s).ListForRestore(t.Context()); !errors.Is(err, keeper.ErrMissing) || !s.Access.GivenUp.Zero() {
		t.Errorf("found: %v, given up %+v", err, s.Access.GivenUp)
	}
}

// TestAMissingSnapshotHasARow: what is known and not listed is shown by snapshot ls, on a
// host that never saw it.
func TestAMissingSnapshotHasARow(t *testing.T) {
	t.Parallel()
	s, older, newest := agenttest.LostNewest(t)
	list, err := keeper.New(s.Host).ListSnapshots(t.Context(), s.Name)
	if err != nil || len(list.Snapshots) != 2 || list.Snapshots[0].ID != older || list.Snapshots[0].Missing {
		t.Fatalf("listed %+v, %v", list, err)
	}
	if row := list.Snapshots[1]; row.ID != newest || !row.Missing || row.Damaged == "" || row.Seq != 2 || row.Began.IsZero() {
		t.Errorf("the missing one is %+v", row)
	}
}

// TestARemoteWhoseDiskIsNotMountedIsNoNewRepository is fault V22, on the host
// that took the snapshots and on one that knows only the record.
func TestARemoteWhoseDiskIsNotMountedIsNoNewRepository(t *testing.T) {
	t.Parallel()
	h, remote := heretest.Host(t), t.TempDir()
	s := agenttest.WithRecord(t, h, remote, 1)
	agenttest.Snapshots(t, s, "one")
	k, again := keeper.New(h), keeper.Taking{Force: true, Stopped: true, Sink: progress.Discard()}
	defer k.Close(t.Context())
	if err := os.Rename(remote+"/"+heretest.Stack, remote+"/away"); err != nil {
		t.Fatal(err)
	}
	for _, noted := range []bool{true, false} {
		if !noted {
			if err := os.Remove(keeper.ArchiveOf(s).NotesPath()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := k.Take(t.Context(), s, again); err == nil || !strings.Contains(err.Error(), "not mounted") {
			t.Errorf("noted %v: %v", noted, err)
		}
	}
	if _, err := os.Stat(remote + "/" + heretest.Stack); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was made: %v", err)
	}
	if c := k.Condition(s.Name).On("offsite"); len(c.Findings) != 1 || c.Findings[0].Code != finding.HistoryLost {
		t.Errorf("findings %+v", c.Findings)
	}
	again.Loss = true
	if r, err := k.Take(t.Context(), s, again); err != nil || r.Snapshot.Seq != 2 {
		t.Errorf("with consent: %+v, %v", r, err)
	}
}

// TestARemoteThatIsAway: no snapshot is taken, what is known of the data stays known, and
// once the remote is back the next one is good.
func TestARemoteThatIsAway(t *testing.T) {
	t.Parallel()
	h, remote := heretest.Host(t), t.TempDir()
	s := agenttest.Began(t, h, remote, 1)
	agenttest.Snapshots(t, s, "one")
	k, again := keeper.New(h), keeper.Taking{Stopped: true, Sink: progress.Discard()}
	good := k.Condition(s.Name).On("offsite").Good
	if good.IsZero() {
		t.Fatal("a good snapshot is not noted")
	}
	if err := errors.Join(os.Rename(remote, remote+".away"), os.WriteFile(remote, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err := k.Take(t.Context(), s, again)
	if err == nil {
		t.Fatal("a snapshot was taken on a remote that is away")
	}
	c := k.Condition(s.Name).On("offsite")
	if !c.Good.Equal(good) || !c.Tried.After(good) || len(c.Findings) != 1 || c.Findings[0].Code != finding.SnapshotFailed || !strings.Contains(c.Findings[0].Text, "the last snapshot on offsite failed: ") {
		t.Errorf("noted %+v; the data was good at %s", c, good)
	}
	if _, err := keeper.New(h).ListSnapshots(t.Context(), s.Name); err == nil || !strings.Contains(err.Error(), "snapshot target offsite, repository aaaa0001: ") {
		t.Errorf("listed: %v", err)
	}
	if err := errors.Join(os.Remove(remote), os.Rename(remote+".away", remote)); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Take(t.Context(), s, again); err != nil {
		t.Error(err)
	}
	if c := k.Condition(s.Name).On("offsite"); len(c.Findings) != 0 || !c.Good.After(good) {
		t.Errorf("noted %+v: the data is on the remote", c)
	}
}

// TestDecisionsSayWhyNothingAnswers: a volume that is not here, and whose history can't be
// found out, is refused with what can be done about it.
func TestDecisionsSayWhyNothingAnswers(t *testing.T) {
	t.Parallel()
	remote := t.TempDir()
	agenttest.Snapshots(t, agenttest.Began(t, heretest.Host(t), remote, 1), "one")
	another := func(s *here.Stack) {
		file := agentapi.SealedFile{Remotes: map[string]agentapi.SealedRemote{"disk": {Type: "local"}}, Repositories: map[string][]byte{"aaaa0001": []byte("the password before")}}
		heretest.Seal(t, s.Host, &s.Stack, "alpha", file)
	}
	damaged := func(*here.Stack) {
		snapshots, err := filepath.Glob(filepath.Join(agenttest.RepositoryOn(remote), "snapshots", "*"))
		if err != nil || len(snapshots) != 1 {
			t.Fatal(snapshots, err)
		}
		agenttest.Flip(t, snapshots[0])
	}
	for _, c := range []struct {
		name         string
		spoil        func(*here.Stack)
		reason, hint string
	}{
		{"away", func(s *here.Stack) { s.Targets[0].Where.Remote = "none" }, "offsite: ", ""},
		{"another password", another, "does not open its repository", "git log -- sealed/recovery"},
		{"damaged", damaged, "its repository on the remote is damaged: snapshot ", "salvor snapshot ls"},
	} {
		s := agenttest.Began(t, heretest.Host(t), remote, 2)
		c.spoil(s)
		decided, err := keeper.ArchiveOf(agenttest.Opened(t, s)).Decisions(t.Context())
		if d := decided["data"]; err != nil || d.Action != snapshot.Refuse || !strings.Contains(d.Reason, c.reason) || !strings.Contains(d.Hint, c.hint) {
			t.Errorf("%s: %+v, %v", c.name, d, err)
		}
	}
	// without the sealed file it counts as out of reach
	s := agenttest.Began(t, heretest.Host(t), remote, 2)
	decided, err := keeper.ArchiveOf(s).Decisions(t.Context())
	if d := decided["data"]; err != nil || d.Action != snapshot.Refuse {
		t.Errorf("not opened: %+v, %v", d, err)
	}
}
