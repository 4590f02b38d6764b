package keeper_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
)

// count returns how many snapshots are in a repository.
func count(t *testing.T, remote, id string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(remote, heretest.Stack, id, "snapshots", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// TestAReplacedRepositoryLosesNothing: a repository is replaced while the stack lives.
// Nothing is restored or started again, the next snapshot creates the new repository,
// and what the former one has is found until then, here and on a host that never saw
// the stack.
func TestAReplacedRepositoryLosesNothing(t *testing.T) {
	t.Parallel()
	h, remote, spec := heretest.Host(t), t.TempDir(), agentapi.Host{Fleet: "home", Name: "alpha"}
	before := h.At(spec, heretest.Sealed(t, h, remote, 1, "aaaa0001"))
	first := agenttest.Snapshots(t, before, "hello")[0]

	after := agenttest.Opened(t, h.At(spec, heretest.Sealed(t, h, remote, 1, "aaaa0001", "bbbb0002")))
	a := keeper.ArchiveOf(after)
	decided, err := a.Decisions(t.Context())
	if err != nil || decided["data"].Action != snapshot.Ready {
		t.Fatalf("%+v, %v: the data is here", decided, err)
	}
	if c, _, err := a.Newest(t.Context()); err != nil || c.Info.ID != first || c.Target.Repository != "aaaa0001" {
		t.Errorf("newest before the first snapshot: %+v, %v", c, err)
	}
	elsewhere(t, remote, first, "hello")

	// what was emptied by accident does not become the newest
	note := filepath.Join(after.Protected()[0].Path, "note")
	if err := os.Remove(note); err != nil {
		t.Fatal(err)
	}
	if _, err := keeper.New(h).Take(t.Context(), after, keeper.Taking{Stopped: true, Sink: progress.Discard()}); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty volume was taken into the new repository: %v", err)
	}
	second := agenttest.Snapshots(t, after, "changed")[0]
	if c, _, err := a.Newest(t.Context()); err != nil || c.Info.ID != second || c.Target.Repository != "bbbb0002" {
		t.Errorf("newest after the first snapshot: %+v, %v", c, err)
	}
	if old, now := count(t, remote, "aaaa0001"), count(t, remote, "bbbb0002"); old != 1 || now != 1 {
		t.Errorf("%d snapshots in the former repository, %d in the present one", old, now)
	}
	checkRows(t, after, first, second)
	elsewhere(t, remote, second, "changed")
}

// checkRows lists the snapshots as an operator does.
func checkRows(t *testing.T, s *here.Stack, old, now string) {
	t.Helper()
	s.Spec.Stacks = []agentapi.Stack{s.Stack}
	if err := s.Host.SaveSpec(s.Spec); err != nil {
		t.Fatal(err)
	}
	list, err := keeper.New(s.Host).ListSnapshots(t.Context(), s.Name)
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
	h := heretest.Host(t)
	st := heretest.Sealed(t, h, remote, 2, "aaaa0001", "bbbb0002")
	st.Volumes[0].Born = st.Volumes[0].Born.AddDate(2025, 0, 0)
	s := agenttest.Opened(t, h.At(agentapi.Host{Fleet: "home", Name: "alpha"}, st))
	decided, err := keeper.ArchiveOf(s).Decisions(t.Context())
	if err != nil || decided["data"].Action != snapshot.Hydrate {
		t.Fatalf("%+v, %v", decided, err)
	}
	if got := agenttest.Restore(t, s); got != want || agenttest.Note(t, h) != content {
		t.Errorf("restored %s with %q, want %s", got, agenttest.Note(t, h), want)
	}
	if err := s.AllReady(); err != nil {
		t.Errorf("what was restored from the former repository is not the stack's: %v", err)
	}
}
