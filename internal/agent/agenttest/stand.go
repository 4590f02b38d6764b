package agenttest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
)

// A Stand is a host with one stack on an engine, for tests of what becomes of volumes.
type Stand struct {
	*here.Host
	Engine *Engine
	Remote string
	Spec   agentapi.Host
	Stack  agentapi.Stack
}

// NewStand returns a host that the stack is placed on at epoch 1; born says
// whether the lock knows its volume.
func NewStand(t *testing.T, born bool, containers ...Container) *Stand {
	t.Helper()
	h := heretest.Host(t)
	memory, err := os.MkdirTemp("/dev/shm", "salvor-test-") // secrets are refused on a disk
	if err == nil {
		err = os.Mkdir(filepath.Join(memory, "secrets"), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(memory) })
	h.Paths.Run = memory
	s := &Stand{Host: h, Engine: WithEngine(t, h, containers...), Remote: t.TempDir(), Spec: agentapi.Host{Fleet: "home", Name: "alpha"}}
	s.Place(t, 1, born)
	return s
}

// Place gives the stack a placement here.
func (s *Stand) Place(t *testing.T, epoch int, born bool) {
	t.Helper()
	s.Stack = heretest.Sealed(t, s.Host, s.Remote, epoch, "aaaa0001")
	s.Stack.Project.Hash, s.Stack.Project.Dir = "sha256:1", "/var/lib/salvor/stacks/"+s.Stack.Name
	if born {
		s.Stack.Volumes[0].Born = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	}
}

// Here is the stack as it is on this host now.
func (s *Stand) Here() *here.Stack { return s.At(s.Spec, s.Stack) }

// Volume is the stack's only volume.
func (s *Stand) Volume() snapshot.Volume { return s.Here().Protected()[0] }

// Supply does what an apply does before the start.
func (s *Stand) Supply(t *testing.T) (*startup.Run, error) {
	t.Helper()
	r := startup.New(keeper.New(s.Host), s.Spec, progress.Discard())
	r.Prepared()
	a, err := s.Here().Open()
	if err != nil {
		t.Fatal(err)
	}
	d := a.Deployment()
	return r, r.On(a).PrepareVolumes(t.Context(), &d, &agentapi.StackReceipt{})
}

// Started has the stack in use here: its volume is ready, holds content and is
// noted.
func (s *Stand) Started(t *testing.T, content string) {
	t.Helper()
	if _, err := s.Supply(t); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveLocal(s.Stack.Name, here.Local{Epoch: s.Stack.Epoch}); err != nil {
		t.Fatal(err)
	}
	s.Write(t, content)
	s.Stack.Volumes[0].Born = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
}

// Write writes the stack's data.
func (s *Stand) Write(t *testing.T, content string) {
	t.Helper()
	if err := os.MkdirAll(s.Volume().Path, 0o755); err != nil {
		t.Fatal(err)
	}
	heretest.Write(t, filepath.Join(s.Volume().Path, "rows"), content)
}

// Read returns the stack's data, "" for none.
func (s *Stand) Read(t *testing.T) string {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(s.Volume().Path, "rows"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(got)
}

// Kept returns what was moved aside, newest last.
func (s *Stand) Kept(t *testing.T) []string {
	t.Helper()
	all, err := snapshot.KeptOf(s.Volume())
	if err != nil {
		t.Fatal(err)
	}
	var contents []string
	for _, k := range all {
		got, err := os.ReadFile(filepath.Join(k.Path, "rows"))
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, string(got))
	}
	return contents
}

// Forget loses everything that Salvor noted.
func (s *Stand) Forget(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(s.Paths.State)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(s.Paths.State, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

// Restore brings a snapshot back in place.
func (s *Stand) Restore(t *testing.T, id string) {
	t.Helper()
	s.Stack.Restore = &fleet.Restore{ID: "wish", Epoch: s.Stack.Epoch, Snapshot: id}
	r := startup.New(keeper.New(s.Host), s.Spec, progress.Discard())
	r.Prepared()
	a, err := s.Here().Open()
	if err != nil {
		t.Fatal(err)
	}
	d := a.Deployment()
	if err := startup.RestoreRequested(t.Context(), r.On(a), &d, &agentapi.StackReceipt{}); err != nil {
		t.Fatal(err)
	}
	s.Stack.Restore = nil
}

// Occupied is what a plan says of data and containers that are in the stack's place.
func (s *Stand) Occupied(t *testing.T) []finding.Finding {
	t.Helper()
	seen, err := s.Stacks.Observe(t.Context(), s.Stack.Name)
	if err != nil {
		t.Fatal(err)
	}
	st := s.Here()
	if len(st.Sealed) > 0 {
		if st, err = st.Open(); err != nil {
			t.Fatal(err)
		}
	}
	decided, err := keeper.ArchiveOf(st).Decisions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return startup.Occupied(s.Spec.Name, s.Stack, seen[0], s.Local(s.Stack.Name), decided)
}

// Take takes a snapshot of the stack, which does not run.
func (s *Stand) Take(t *testing.T) agentapi.SnapshotReceipt {
	t.Helper()
	return Take(t, s.Here())
}
