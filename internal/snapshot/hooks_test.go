package snapshot

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/secret"
)

// hookRunner is a Runner of hooks: their first word says what they do, and all is noted.
type hookRunner struct {
	ran   []string
	data  string // "write" writes a file there
	fails map[string]bool
}

func (r *hookRunner) Exec(ctx context.Context, c Command) error {
	r.ran = append(r.ran, strings.Join(c.Argv, " "))
	switch {
	case c.Argv[0] == "hang":
		<-ctx.Done()
		return errors.New("killed")
	case c.Argv[0] == "write":
		return os.WriteFile(filepath.Join(r.data, "dump"), nil, 0o600)
	case r.fails[c.Argv[0]]:
		return errors.New("exit code 3")
	}
	return nil
}

func hook(words string) fleet.Hook {
	return fleet.Hook{Service: "app", Command: strings.Fields(words), Limit: time.Minute}
}

// hooked is a job with hooks.
func (l *lab) hooked(r *hookRunner, before string, after ...string) func(*Job) {
	r.data = l.data
	return func(j *Job) {
		j.Runner, j.Hooks.Before = r, []fleet.Hook{hook(before)}
		for _, words := range after {
			j.Hooks.After = append(j.Hooks.After, hook(words))
		}
	}
}

func TestHooksRunAroundASnapshot(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	write(t, filepath.Join(l.data, "note"), "one")
	r := &hookRunner{}
	l.fz.onRun = func() { r.ran = append(r.ran, "paused") }
	got := l.take(t, l.hooked(r, "write it", "tidy", "up"))
	if got.Files != 4 || len(got.Findings) > 0 {
		t.Errorf("what the hook wrote is not in it: %+v", got)
	}
	if diff := cmp.Diff([]string{"write it", "paused", "tidy", "up"}, r.ran); diff != "" {
		t.Error(diff)
	}
	if owed, err := OwedHooks(l.Dirs); err != nil || len(owed) > 0 {
		t.Errorf("owed still: %v, %v", owed, err)
	}
	job := l.job()
	l.hooked(r, "true")(&job)
	if _, same, err := l.Unchanged(t.Context(), job); same || err != nil {
		t.Errorf("a hook may write what is to be taken: %t, %v", same, err)
	}
	r.fails, r.ran = map[string]bool{"tidy": true}, nil
	if got = l.take(t, l.hooked(r, "true", "tidy", "up")); len(got.Findings) != 1 || got.Findings[0].Code != finding.SnapshotHook || got.Findings[0].Severity != finding.Warning {
		t.Errorf("a hook after it failed: %+v", got.Findings)
	}
	if !slices.Contains(r.ran, "up") {
		t.Errorf("the rest did not run: %v", r.ran)
	}
}

func TestAFailedHookTakesNoSnapshot(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	write(t, filepath.Join(l.data, "note"), "one")
	good := l.take(t, nil)
	for name, c := range map[string]struct {
		before string
		limit  time.Duration
		says   string
	}{
		"fails":    {"fail", time.Minute, "exit code 3"},
		"too long": {"hang", time.Millisecond, "longer than its limit of 1ms"},
	} {
		r := &hookRunner{fails: map[string]bool{"fail": true}}
		got := l.take(t, func(j *Job) {
			l.hooked(r, c.before, "tidy")(j)
			j.Force, j.Hooks.Before[0].Limit = true, c.limit
		})
		if len(got.Findings) != 1 || got.Findings[0].Code != finding.SnapshotHook || got.Findings[0].Severity != finding.Fatal || !strings.Contains(got.Findings[0].Text, c.says) || got.Snapshot.ID != "" {
			t.Errorf("%s: %+v", name, got)
		}
		if diff := cmp.Diff([]string{c.before, "tidy"}, r.ran); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if infos, err := l.infos(t); err != nil || len(infos) != 1 || infos[0].ID != good.Snapshot.ID {
		t.Errorf("%+v, %v", infos, err)
	}
	r := &hookRunner{}
	job := l.job()
	l.hooked(r, "true", "tidy")(&job)
	job.Repository.Password = secret.NewString("another")
	if _, err := l.Take(t.Context(), job); err == nil || !slices.Contains(r.ran, "tidy") {
		t.Errorf("the snapshot failed: %v, ran %v", err, r.ran)
	}
}

// TestAKilledSnapshotOwesItsHooks: they run once its process is gone, also where their services start late.
func TestAKilledSnapshotOwesItsHooks(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	r := &hookRunner{fails: map[string]bool{"up": true}}
	job := l.job()
	l.hooked(r, "true", "tidy", "up")(&job)
	if _, err := l.begin(t.Context(), job); err != nil { // and nothing more: it is killed
		t.Fatal(err)
	}
	if owed, err := OwedHooks(l.Dirs); err != nil || len(owed) != 1 || owed[0] != "notes" {
		t.Fatalf("%v, %v", owed, err)
	}
	r.ran = nil
	for try := 1; try <= owedTries; try++ {
		found, err := l.RunOwed(t.Context(), "notes", r)
		if err != nil || (len(found) > 0) != (try == owedTries) {
			t.Errorf("try %d: %+v, %v", try, found, err)
		}
	}
	if count := len(r.ran); count != owedTries+1 || r.ran[0] != "tidy" {
		t.Errorf("ran %v", r.ran)
	}
	if owed, err := OwedHooks(l.Dirs); err != nil || len(owed) > 0 {
		t.Errorf("never given up: %v, %v", owed, err)
	}
	if found, err := l.RunOwed(t.Context(), "notes", r); err != nil || len(found) > 0 || len(r.ran) != owedTries+1 {
		t.Errorf("ran again: %v", r.ran)
	}
}
