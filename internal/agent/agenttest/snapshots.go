// Package agenttest has hosts with a stack that lives on them, for tests of what the
// agent does with it: its containers and its remote only know what a test says, its
// snapshots are real.
package agenttest

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/atomicfile"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/snapshot"
)

// Began is the stack, born, on a host whose repository is on remote.
func Began(t *testing.T, h *here.Host, remote string, epoch int) *here.Stack {
	t.Helper()
	spec, st := agentapi.Host{Fleet: "home", Name: "alpha"}, heretest.Sealed(t, h, remote, epoch, "aaaa0001")
	st.Volumes[0].Born = time.Unix(1, 0)
	spec.Stacks = []agentapi.Stack{st}
	if err := h.SaveSpec(spec); err != nil {
		t.Fatal(err)
	}
	return h.At(spec, st)
}

// WithRecord is Began where the fleet has a record, with the host's claim on it.
func WithRecord(t *testing.T, h *here.Host, remote string, epoch int) *here.Stack {
	t.Helper()
	s := Began(t, h, remote, epoch)
	s.Spec.Record = fleet.Location{Remote: "disk", Path: remote + "/record"}
	if err := h.SaveSpec(s.Spec); err != nil {
		t.Fatal(err)
	}
	h.Late = time.Millisecond
	signer, err := h.EnsureSigning("alpha")
	if err != nil {
		t.Fatal(err)
	}
	heretest.ClaimFor(t, s.Name, remote+"/record", record.Claim{Epoch: epoch, Host: "alpha", Key: h.Recipient(), Sign: signer})
	return s
}

// Take takes a snapshot of a stack that does not run.
func Take(t *testing.T, s *here.Stack) agentapi.SnapshotReceipt {
	t.Helper()
	k := keeper.New(s.Host)
	defer k.Close(t.Context())
	receipt, err := k.Take(t.Context(), s, keeper.Taking{Stopped: true, Sink: progress.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

// Snapshots takes a snapshot of each content, and returns their ids. The stack starts
// empty with the first.
func Snapshots(t *testing.T, s *here.Stack, contents ...string) []string {
	t.Helper()
	v := s.Protected()[0]
	if s.Host.Snapshots.Marker(s.Name, v.Name).State != snapshot.MarkedReady {
		if err := s.Host.Snapshots.StartEmpty(s.Name, v, snapshot.Marker{Identity: s.Identity(v.Name), Epoch: s.Epoch}); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for _, content := range contents {
		heretest.Write(t, filepath.Join(v.Path, "note"), content)
		ids = append(ids, Take(t, s).Snapshot.ID)
	}
	return ids
}

// Note is what Snapshots wrote last, or what was restored of it.
func Note(t *testing.T, h *here.Host) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(h.Paths.Volumes, "data", "note"))
	if err != nil {
		t.Error(err)
	}
	return string(content)
}

// Opened is the stack with what its sealed file holds.
func Opened(t *testing.T, s *here.Stack) *here.Stack {
	t.Helper()
	if s.Access != nil {
		return s
	}
	opened, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// Fetch downloads the newest snapshot, as a start does, and returns the run's findings.
func Fetch(t *testing.T, s *here.Stack) (*snapshot.Fetched, agentapi.HostReceipt, error) {
	t.Helper()
	r := startup.New(keeper.New(s.Host), s.Spec, progress.Discard())
	defer r.Close(t.Context())
	r.Prepared()
	fetched, err := r.On(Opened(t, s)).FetchNewest(t.Context(), s.Protected(), nil)
	return fetched, r.Receipt, err
}

// Restore puts the newest snapshot in place, and returns its id.
func Restore(t *testing.T, s *here.Stack) string {
	t.Helper()
	fetched, _, err := Fetch(t, s)
	if err == nil {
		err = s.Host.Snapshots.Place(t.Context(), fetched)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fetched.Info.ID
}

// RepositoryOn is the folder of the stack's repository on a remote.
func RepositoryOn(remote string) string { return filepath.Join(remote, heretest.Stack, "aaaa0001") }

// Flip changes one bit of a file.
func Flip(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := atomicfile.Write(path, bytes.NewReader(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// LostNewest is a stack on a host that comes to it when the remote has lost the newest of
// its two snapshots.
func LostNewest(t *testing.T) (s *here.Stack, older, newest string) {
	t.Helper()
	remote := t.TempDir()
	ids := Snapshots(t, WithRecord(t, heretest.Host(t), remote, 1), "one", "two")
	if err := os.Remove(filepath.Join(RepositoryOn(remote), "snapshots", ids[1])); err != nil {
		t.Fatal(err)
	}
	return WithRecord(t, heretest.Host(t), remote, 2), ids[0], ids[1]
}

// Plant takes a snapshot with numbers of its own into the repository, as root on another
// host can, and returns its id.
func Plant(t *testing.T, remote string, epoch, seq int) string {
	t.Helper()
	thief := heretest.Host(t)
	s := thief.At(agentapi.Host{Name: "alpha"}, heretest.Sealed(t, thief, remote, epoch, "aaaa0001"))
	v := s.Protected()[0]
	if err := thief.Snapshots.StartEmpty(s.Name, v, snapshot.Marker{Identity: "x", Epoch: epoch}); err != nil {
		t.Fatal(err)
	}
	heretest.Write(t, filepath.Join(v.Path, "note"), "planted")
	repo, err := Opened(t, s).Access.Repository(t.Context(), s.Name, s.Targets[0])
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close(t.Context())
	result, err := thief.Snapshots.Take(t.Context(), snapshot.Job{
		Fleet: "home", Stack: s.Name, Host: "alpha", Epoch: epoch, Repository: repo.Repository, Volumes: s.Protected(),
		Stopped: true, Force: true, AcceptShrunk: true, AcceptLoss: true, After: snapshot.Mark{Epoch: epoch, Seq: seq - 1},
	})
	if err != nil || result.Snapshot.ID == "" || result.Snapshot.Seq != seq {
		t.Fatal(result, err)
	}
	return result.Snapshot.ID
}

// Only returns the one finding of a code.
func Only(t *testing.T, found []finding.Finding, code finding.Code) finding.Finding {
	t.Helper()
	of := slices.DeleteFunc(slices.Clone(found), func(f finding.Finding) bool { return f.Code != code })
	if len(of) != 1 {
		t.Fatalf("%d findings %s in %+v", len(of), code, found)
	}
	return of[0]
}
