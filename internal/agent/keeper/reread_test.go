package keeper_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
)

// doubts reads all shares back and reports whether a pack is doubted afterwards.
func doubts(t *testing.T, s *here.Stack) bool {
	t.Helper()
	k := keeper.New(s.Host)
	defer k.Close(t.Context())
	for day := range keeper.Shares {
		_ = k.RereadStack(t.Context(), s, day) // says what the notes say
	}
	return len(keeper.ArchiveOf(s).Notes()["aaaa0001"].Suspects) > 0
}

// flipPacks changes every pack of the stack's repository.
func flipPacks(t *testing.T, remote string) {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(agenttest.RepositoryOn(remote), "data", "*", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	for _, p := range packs {
		agenttest.Flip(t, p)
	}
}

// TestAReadingBackIsFollowedByARepair is fault V8: the daily reading back finds a
// changed pack, its finding says to take a snapshot, and that heals it.
func TestAReadingBackIsFollowedByARepair(t *testing.T) {
	t.Parallel()
	h, remote := heretest.Host(t), t.TempDir()
	s, k := agenttest.Began(t, h, remote, 1), keeper.New(h)
	defer k.Close(t.Context())
	agenttest.Snapshots(t, s, strings.Repeat("all of it ", 1000))
	flipPacks(t, remote)
	if !doubts(t, s) {
		t.Fatal("nothing was found")
	}
	if c := k.Condition(s.Name).On("offsite"); c.Unread == "" || !c.Tried.IsZero() {
		t.Errorf("%+v: the next snapshot is not due at once", c)
	}
	if _, err := k.Take(t.Context(), s, keeper.Taking{Stopped: true, Sink: progress.Discard()}); err != nil {
		t.Fatal(err) // no force: the data has not changed, and is taken anyway
	}
	if c := k.Condition(s.Name).On("offsite"); c.Unread != "" {
		t.Errorf("what the snapshot examined is still a finding: %s", c.Unread)
	}
	for doubts(t, s) {
		agenttest.Take(t, s)
	}
	other := heretest.Host(t)
	agenttest.Restore(t, agenttest.Began(t, other, remote, 2))
	if got := agenttest.Note(t, other); got != strings.Repeat("all of it ", 1000) {
		t.Errorf("restored %d bytes", len(got))
	}
}

// TestAReadingBackMissesTheRepository is fault V22's kin: a repository that is gone
// is not one that was never made.
func TestAReadingBackMissesTheRepository(t *testing.T) {
	t.Parallel()
	h, remote := heretest.Host(t), t.TempDir()
	s, k := agenttest.WithRecord(t, h, remote, 1), keeper.New(h)
	defer k.Close(t.Context())
	if err := k.RereadStack(t.Context(), s, 0); err != nil {
		t.Errorf("before the first snapshot: %v", err)
	}
	agenttest.Snapshots(t, s, "one")
	if err := os.Rename(filepath.Join(remote, heretest.Stack), remote+"/away"); err != nil {
		t.Fatal(err)
	}
	if err := k.RereadStack(t.Context(), s, 0); !errors.Is(err, snapshot.ErrNoRepository) || k.Condition(s.Name).On("offsite").Unread == "" {
		t.Errorf("with the repository gone: %v", err)
	}
}

// TestEachStackIsReadBackOnceADay: whatever it came to, and only on the host that runs it.
func TestEachStackIsReadBackOnceADay(t *testing.T) {
	t.Parallel()
	h, remote := heretest.Host(t), t.TempDir()
	s, k := agenttest.Began(t, h, remote, 1), keeper.New(h)
	defer k.Close(t.Context())
	agenttest.Snapshots(t, s, "one")
	today := time.Date(2026, 11, 29, 1, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		local here.Local
		now   time.Time
		want  int // readings so far
	}{
		{"not here yet", here.Local{}, today, 0},
		{"here at another epoch", here.Local{Epoch: 2}, today, 0},
		{"taken over", here.Local{Epoch: 1, Lost: true}, today, 0},
		{"here", here.Local{Epoch: 1}, today, 1},
		{"later that day", here.Local{Epoch: 1}, today.Add(22 * time.Hour), 1},
		{"the next day", here.Local{Epoch: 1}, today.Add(23 * time.Hour), 2},
	} {
		if err := h.SaveLocal(s.Name, c.local); err != nil {
			t.Fatal(err)
		}
		if err := k.RereadDue(t.Context(), c.now); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if n := readings(t, h); n != c.want {
			t.Errorf("%s: read back %d times, want %d", c.name, n, c.want)
		}
	}
	heretest.Write(t, k.RereadPath(s.Name), "[")
	if err := k.RereadDue(t.Context(), today.Add(24*time.Hour)); err != nil || readings(t, h) != 3 {
		t.Errorf("with a damaged note: %v, %d readings", err, readings(t, h))
	}
	flipPacks(t, remote)
	var failed error
	for day := range keeper.Shares {
		failed = errors.Join(failed, k.RereadDue(t.Context(), today.Add(time.Duration(day+2)*24*time.Hour)))
	}
	if failed == nil || k.Condition(s.Name).On("offsite").Unread == "" && len(keeper.ArchiveOf(s).Notes()["aaaa0001"].Suspects) == 0 {
		t.Errorf("all packs are changed, and each share was read: %v, %+v", failed, k.Condition(s.Name))
	}
	if n := readings(t, h); n != 3+keeper.Shares {
		t.Errorf("%d readings; one that failed is tried again the same day, or not the next", n)
	}
}

// readings is how often the journal says that something was read back.
func readings(t *testing.T, h *here.Host) int {
	t.Helper()
	entries, err := h.Journal.Tail(1000)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if e.Kind == "reread" {
			n++
		}
	}
	return n
}

// TestWhatIsNotReadBack: one stack that can't be opened keeps no other from it.
func TestOneStackKeepsNoOtherFromItsReadingBack(t *testing.T) {
	t.Parallel()
	h, remote := heretest.Host(t), t.TempDir()
	s, k := agenttest.Began(t, h, remote, 1), keeper.New(h)
	defer k.Close(t.Context())
	agenttest.Snapshots(t, s, "one")
	locked := s.Stack
	locked.Name, locked.Sealed = "locked", nil
	s.Spec.Stacks = []agentapi.Stack{locked, s.Stack}
	if err := h.SaveSpec(s.Spec); err != nil {
		t.Fatal(err)
	}
	for _, st := range s.Spec.Stacks {
		if err := h.SaveLocal(st.Name, here.Local{Epoch: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.RereadDue(t.Context(), time.Now()); err == nil || !strings.Contains(err.Error(), "locked") || readings(t, h) != 1 {
		t.Errorf("%v, %d readings", err, readings(t, h))
	}
}
