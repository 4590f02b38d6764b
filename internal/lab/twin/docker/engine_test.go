package docker

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"salvor/internal/hostpath"
	"salvor/internal/machine"
	"salvor/internal/stack"
)

// disk has one rendered file, and the gate where it is open.
type disk struct {
	compose string
	open    bool
}

func (d *disk) Read(string) ([]byte, bool) { return []byte(d.compose), true }
func (d *disk) Exists(p string) bool       { return d.open && p == hostpath.Default().Gate("notes") }

// rendered is the project notes as Salvor renders it: with its gate and one volume.
func rendered(image string) string {
	return "services:\n  app:\n    image: " + image + "\n    volumes:\n      - type: bind\n        source: " + hostpath.Default().Gate("notes") +
		"\n        target: " + stack.GateTarget + "\n      - type: volume\n        source: data\n"
}

// engine has the project notes, with a gate and a volume, up.
func engine(t *testing.T) (*Engine, *disk, func(argv ...string) error) {
	t.Helper()
	d := &disk{rendered("notes:1"), true}
	e := &Engine{Files: d, Volumes: t.TempDir()}
	run := func(argv ...string) error {
		_, err := e.Run(machine.Cmd{Argv: append([]string{"docker", "compose", "--project-name", "notes", "--file", "/f"}, argv...)})
		return err
	}
	if err := run("up"); err != nil {
		t.Fatal(err)
	}
	return e, d, run
}

// TestABootStartsWhatRan behind an open gate, and nothing that was stopped before.
func TestABootStartsWhatRan(t *testing.T) {
	for name, c := range map[string]struct {
		stopped, shut bool
		want          string
	}{
		"it ran":           {want: "running"},
		"it was stopped":   {stopped: true, want: "exited"},
		"its gate is shut": {shut: true, want: "exited"},
	} {
		synctest.Test(t, func(t *testing.T) {
			e, d, run := engine(t)
			if c.stopped {
				if err := run("stop"); err != nil {
					t.Fatal(err)
				}
			}
			started := 0
			e.Starts = func(Container) { started++ }
			e.PowerOff()
			if got := e.Containers()[0]; got.Runs() {
				t.Errorf("%s: without power it is %s", name, got.State)
			}
			d.open = !c.shut
			e.Boot()
			if got := e.Containers()[0].State; got != c.want || (started == 1) != (got == "running") {
				t.Errorf("%s: %s after %d starts, want %s", name, got, started, c.want)
			}
		})
	}
}

// TestAVolumeOutlivesItsContainer, and a gate that is shut or an image that is bad keeps a
// container from running.
func TestAVolumeOutlivesItsContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, d, run := engine(t)
		file := filepath.Join(e.Volumes, "notes_data", "_data", "log")
		if err := os.WriteFile(file, []byte("data"), 0o600); err != nil {
			t.Fatal(err)
		}
		id := e.Containers()[0].ID
		d.compose = "services:\n  app:\n    image: notes:bad\n    volumes: [source: data]\n"
		if err := run("up"); err != nil {
			t.Fatal(err)
		}
		if now := e.Containers(); len(now) != 1 || now[0].ID == id || now[0].Runs() {
			t.Errorf("another image: %+v", now)
		}
		if content, err := os.ReadFile(file); string(content) != "data" || err != nil {
			t.Errorf("its volume has %q, %v", content, err)
		}
		d.open, d.compose = false, rendered("notes:2")
		if err := run("up"); err == nil || e.Containers()[0].Runs() {
			t.Errorf("behind a shut gate: %v", err)
		}
	})
}

// TestOnlyWhatRunsIsPaused, and what is paused is not started.
func TestOnlyWhatRunsIsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, run := engine(t)
		id := e.Containers()[0].ID
		for i, c := range []struct {
			from, to, state string
			status          int
		}{{"paused", "running", "running", 409}, {"running", "paused", "paused", 204}, {"running", "paused", "paused", 409}} {
			if status, _ := e.turn(id, c.from, c.to); status != c.status || e.Containers()[0].State != c.state {
				t.Errorf("%d: %d, %s", i, status, e.Containers()[0].State)
			}
		}
		if err := run("up"); err == nil {
			t.Error("it was started while it was paused")
		}
	})
}
