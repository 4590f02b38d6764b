package snapshot

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
)

const (
	inWAL = "PRAGMA journal_mode=wal; CREATE TABLE IF NOT EXISTS t (x INT); INSERT INTO t VALUES (1), (2);"
	owner = 4711
)

func sqlite3(t *testing.T, path, statements string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), sqliteProgram, "-batch", "-bail", path, statements).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", statements, err, out)
	}
	return strings.TrimSpace(string(out))
}

// withDatabase is a lab whose volume has a database of a user that is not root, which a
// program has open, and other files. Nothing of it was changed just now.
func withDatabase(t *testing.T) (h *lab, database string) {
	t.Helper()
	h = newLab(t)
	if _, err := os.Stat(sqliteProgram); err != nil {
		if os.Getenv("SALVOR_LAB") == "require" {
			t.Fatal(err)
		}
		t.Skip("no sqlite3 is installed")
	}
	database = filepath.Join(h.data, "sub", "app [1].db")
	if err := os.Mkdir(filepath.Dir(database), 0o750); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(h.data, "note"), "a note")
	program := exec.CommandContext(t.Context(), sqliteProgram, "-batch", database)
	stdin, err := program.StdinPipe()
	stdout, err2 := program.StdoutPipe()
	if err := errors.Join(err, err2, program.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(stdin.Close(), program.Wait()) })
	if _, err := stdin.Write([]byte(inWAL + "\nSELECT 'ready';\n")); err != nil {
		t.Fatal(err)
	}
	for said := ""; !strings.Contains(said, "ready"); {
		piece := make([]byte, 64)
		n, err := stdout.Read(piece)
		if err != nil {
			t.Fatal(err)
		}
		said += string(piece[:n])
	}
	for _, path := range []string{filepath.Dir(database), database, database + "-wal", database + "-shm"} {
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(database, 0o640); err != nil {
		t.Fatal(err)
	}
	<-time.After(hotFor + hotFor/10)
	return h, database
}

func ofSQLite(j *Job) { j.Volumes[0].Method = fleet.SQLite }

// onStep does something when a step begins.
func (l *lab) onStep(step string, do func()) {
	l.Progress = progress.SinkFunc(func(e progress.Event) {
		if e.Step == step && e.State == progress.Started && do != nil {
			now := do
			do = nil
			now()
		}
	})
}

// TestDatabasesAreCopiedWithoutAPause: what comes back is the database alone, with its owner
// and mode, and everything else; once nothing has changed, there is nothing to do.
func TestDatabasesAreCopiedWithoutAPause(t *testing.T) {
	t.Parallel()
	h, database := withDatabase(t)
	h.onStep("read files", func() { sqlite3(t, database, "INSERT INTO t VALUES (3)") })
	r := h.take(t, ofSQLite)
	if r.Snapshot.ID == "" || r.Paused != 0 || len(r.Findings) > 0 {
		t.Fatalf("got %+v", r)
	}
	r = h.take(t, ofSQLite) // what was written meanwhile
	if r.Skipped || r.Paused != 0 || len(r.Findings) > 0 {
		t.Fatalf("got %+v", r)
	}
	<-time.After(hotFor + hotFor/10)
	h.take(t, ofSQLite)
	if r = h.take(t, ofSQLite); !r.Skipped {
		t.Error("nothing was changed but by the snapshot itself, and another one was taken")
	}
	if err := os.RemoveAll(h.data); err != nil {
		t.Fatal(err)
	}
	f := h.restore(t, h.restoreJob())
	if m, _ := f.Meta.Volume("data"); m.Form != Files {
		t.Errorf("form %s", m.Form)
	}
	left, err := os.ReadDir(filepath.Dir(database))
	if err != nil || len(left) != 1 {
		t.Fatalf("%v, %v", left, err)
	}
	info, err := left[0].Info()
	if err != nil || info.Mode() != 0o640 || info.Sys().(*syscall.Stat_t).Uid != owner || info.Sys().(*syscall.Stat_t).Gid != owner {
		t.Errorf("%v, %v", info, err)
	}
	note, err := os.ReadFile(filepath.Join(h.data, "note"))
	if got := sqlite3(t, database, "SELECT count(*) FROM t; PRAGMA journal_mode"); got != "3\nwal" || err != nil || string(note) != "a note" {
		t.Errorf("database %q, note %q, %v", got, note, err)
	}
}

// TestWhatChangesMeanwhileIsPaused: a file next to the databases that changes, a database
// that goes or that stays locked has the volume copied as before.
func TestWhatChangesMeanwhileIsPaused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		step string
		do   func(t *testing.T, data, database string)
	}{
		"a file":     {"read files", func(t *testing.T, data, _ string) { write(t, filepath.Join(data, "note"), "another") }},
		"a new file": {"read files", func(t *testing.T, data, _ string) { write(t, filepath.Join(data, "new"), "") }},
		"it is gone": {"read files", func(t *testing.T, _, database string) { _ = os.Remove(database) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, database := withDatabase(t)
			h.onStep(c.step, func() { c.do(t, h.data, database) })
			r := h.take(t, ofSQLite)
			if r.Snapshot.ID == "" || len(r.Findings) > 0 || r.Paused == 0 {
				t.Errorf("got %+v", r)
			}
			if err := os.RemoveAll(h.data); err != nil {
				t.Fatal(err)
			}
			h.restore(t, h.restoreJob())
			if note, err := os.ReadFile(filepath.Join(h.data, "note")); err != nil || (string(note) == "another") != (name == "a file") {
				t.Errorf("note %q, %v", note, err)
			}
		})
	}
}

// TestCorruptDatabaseIsPaused: its files are in the snapshot, and a finding says why.
func TestCorruptDatabaseIsPaused(t *testing.T) {
	t.Parallel()
	h := newLab(t)
	write(t, filepath.Join(h.data, "broken.db"), "SQLite format 3\x00"+strings.Repeat("nothing of the kind", 1000))
	r := h.take(t, ofSQLite)
	only(t, r, finding.DumpFailed, "broken.db")
	if r.Paused == 0 || r.Snapshot.ID == "" {
		t.Errorf("got %+v", r)
	}
}
