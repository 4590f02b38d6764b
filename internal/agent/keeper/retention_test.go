package keeper_test

import (
	"os"
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
	"salvor/internal/journal"
	"salvor/internal/progress"
	"salvor/internal/record"
)

// keepingOne is a stack of whose snapshots the policy keeps the last one.
func keepingOne(t *testing.T, remote string) *here.Stack {
	t.Helper()
	s := agenttest.WithRecord(t, heretest.Host(t), remote, 1)
	s.Targets[0].Keep = fleet.Keep{Last: 1}
	return s
}

// TestRetention: what the policy does not keep is deleted after a good snapshot.
func TestRetention(t *testing.T) {
	t.Parallel()
	remote := t.TempDir()
	s := keepingOne(t, remote)
	ids := agenttest.Snapshots(t, s, "one", "two", "three")
	if n := count(t, remote, "aaaa0001"); n != 1 {
		t.Errorf("%d snapshots are kept", n)
	}
	if id, err := newestFor(t, agenttest.WithRecord(t, heretest.Host(t), remote, 2)); err != nil || id != ids[2] {
		t.Errorf("the newest is %.8s, %v", id, err)
	}
}

// TestNothingIsDeletedThatMayBeWanted: not while a restore waits, not on a remote where a
// host deletes nothing, not of a stack that another host has, and not before the record
// knows what is newer.
func TestNothingIsDeletedThatMayBeWanted(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, s *here.Stack, remote string){
		"a restore waits": func(_ *testing.T, s *here.Stack, _ string) {
			s.Restore = &fleet.Restore{ID: "wish", Epoch: 1, Snapshot: strings.Repeat("ab", 32)}
		},
		"append-only": func(_ *testing.T, s *here.Stack, _ string) { s.Targets[0].AppendOnly = true },
		"the record is away": func(t *testing.T, s *here.Stack, remote string) {
			t.Helper()
			if err := os.Rename(remote+"/record", remote+"/away"); err != nil {
				t.Fatal(err)
			}
			heretest.Write(t, remote+"/record", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			remote := t.TempDir()
			s := keepingOne(t, remote)
			agenttest.Snapshots(t, s, "one")
			spoil(t, s, remote)
			agenttest.Snapshots(t, s, "two", "three")
			if n := count(t, remote, "aaaa0001"); n != 3 {
				t.Errorf("%d snapshots are left", n)
			}
			found := keeper.New(s.Host).Condition(s.Name).On("offsite").Findings
			due := slices.ContainsFunc(found, func(f finding.Finding) bool {
				return f.Code == finding.PruneDue && f.Severity == finding.Info && strings.Contains(f.Text, "2 snapshots on offsite") && f.Fix == "salvor snapshot prune "+s.Name
			})
			if due != (name == "append-only") {
				t.Errorf("said: %+v", found)
			}
		})
	}
}

// TestALostHostDeletesNothing: it was taken over in the moment in which it took a snapshot.
func TestALostHostDeletesNothing(t *testing.T) {
	t.Parallel()
	remote := t.TempDir()
	s := keepingOne(t, remote)
	first := agenttest.Snapshots(t, s, "one")[0]
	heretest.ClaimFor(t, s.Name, remote+"/record", record.Claim{Epoch: 2, Host: "beta", Key: "age1beta"})
	late := agenttest.Snapshots(t, s, "two")[0]
	if n := count(t, remote, "aaaa0001"); n != 2 {
		t.Errorf("%d snapshots are left of %.8s and %.8s", n, first, late)
	}
	entries, err := s.Host.Journal.Tail(100)
	if err != nil || !slices.ContainsFunc(entries, func(e journal.Entry) bool {
		return e.Kind == "retention" && strings.Contains(e.Error, "beta claimed epoch 2")
	}) {
		t.Errorf("the journal does not say why: %+v, %v", entries, err)
	}
}

// TestWhatIsNotTaken: a stack without data has nothing to take, one between two versions
// must not become the newest, one without a target has nowhere to go, and what is not ready
// here is not its data.
func TestWhatIsNotTaken(t *testing.T) {
	t.Parallel()
	remote := t.TempDir()
	s := agenttest.Began(t, heretest.Host(t), remote, 1)
	k, force := keeper.New(s.Host), keeper.Taking{Force: true, Stopped: true, Sink: progress.Discard()}
	defer k.Close(t.Context())
	if _, err := k.Take(t.Context(), s, force); err == nil || !strings.Contains(err.Error(), "volume data is not ready here") {
		t.Errorf("before the first start: %v", err)
	}
	agenttest.Snapshots(t, s, "one")
	without, nowhere := *s, *s
	without.Volumes, nowhere.Targets = nil, nil
	if r, err := k.Take(t.Context(), &without, force); err != nil || !r.Skipped || r.Why != "nothing to protect" {
		t.Errorf("without data: %+v, %v", r, err)
	}
	if _, err := k.Take(t.Context(), &nowhere, force); err == nil || !strings.Contains(err.Error(), "no snapshot target") {
		t.Errorf("without a target: %v", err)
	}
	for state, taken := range map[string]bool{"trying": false, "back": false, "failed": true} {
		if err := s.SaveAttempt(here.Attempt{}); err != nil { // makes the folder
			t.Fatal(err)
		}
		heretest.Write(t, s.Host.AttemptPath(s.Name), `{"schema":1,"epoch":1,"state":"`+state+`"}`)
		before := count(t, remote, "aaaa0001")
		_, err := k.Take(t.Context(), s, force)
		if (err == nil) != taken || !taken && !strings.Contains(err.Error(), "between two versions") || (count(t, remote, "aaaa0001") > before) != taken {
			t.Errorf("%s: %v", state, err)
		}
	}
}

// TestEveryTargetGetsASnapshot: one that is away keeps no other from it, and is an error.
func TestEveryTargetGetsASnapshot(t *testing.T) {
	t.Parallel()
	remote, second := t.TempDir(), t.TempDir()
	h := heretest.Host(t)
	s := h.At(agentapi.Host{Fleet: "home", Name: "alpha"}, heretest.Sealed(t, h, remote, 1, "cccc0003", "aaaa0001"))
	s.Targets[0].Former = nil
	away, other := s.Targets[0], s.Targets[0]
	away.Name, away.Where.Remote = "away", "none"
	other.Name, other.Where.Path, other.Repository = "nas", second, "cccc0003"
	agenttest.Snapshots(t, s, "one")
	heretest.Write(t, s.Protected()[0].Path+"/note", "two")
	s.Targets = append(s.Targets, away, other)
	k := keeper.New(s.Host)
	defer k.Close(t.Context())
	r, err := k.Take(t.Context(), s, keeper.Taking{Stopped: true, Sink: progress.Discard()})
	if err == nil || !strings.Contains(err.Error(), "none") || r.Snapshot.Seq != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if a, b := count(t, remote, "aaaa0001"), count(t, second, "cccc0003"); a != 2 || b != 1 {
		t.Errorf("%d snapshots on offsite, %d on nas", a, b)
	}
}

// TestAnOwedSnapshotIsTaken whatever its size, though nothing has changed, and settles the
// debt.
func TestAnOwedSnapshotIsTaken(t *testing.T) {
	t.Parallel()
	remote := t.TempDir()
	s := agenttest.Began(t, heretest.Host(t), remote, 1)
	agenttest.Snapshots(t, s, "one")
	if err := os.Remove(s.Protected()[0].Path + "/note"); err != nil {
		t.Fatal(err)
	}
	k, plain := keeper.New(s.Host), keeper.Taking{Stopped: true, Sink: progress.Discard()}
	defer k.Close(t.Context())
	if _, err := k.Take(t.Context(), s, plain); err == nil {
		t.Error("an emptied volume was taken")
	}
	s.Host.NoteDone(s.Name, "wish")
	if _, err := k.Take(t.Context(), s, plain); err != nil || s.Host.Wishes(s.Name).Owed != "" || count(t, remote, "aaaa0001") != 2 {
		t.Errorf("%v, %+v, %d snapshots", err, s.Host.Wishes(s.Name), count(t, remote, "aaaa0001"))
	}
}
