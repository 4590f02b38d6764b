package scenarios

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/fault"
	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
	"salvor/internal/lockfile"
	"salvor/internal/progress"
)

// TestRestoreOnCreate tries the rule that a marker decides, never emptiness: what
// was emptied on purpose stays empty, what was killed before its data was there
// gets it, and a name used before is neither started empty nor overwritten.
func TestRestoreOnCreate(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, usualFor)
	var collector oracle.Collector
	w, alpha, stacks := rested(t, s, &collector)

	t.Run("emptied on purpose", func(t *testing.T) { emptied(t, s, alpha) })
	t.Run("removed from Git", func(t *testing.T) { removed(t, s, w, alpha) })
	t.Run("name used before", func(t *testing.T) { usedBefore(t, s, w, alpha) })
	t.Run("lock entry missing", func(t *testing.T) { entryMissing(t, s, w, alpha, &collector, stacks) })
	if t.Failed() {
		return
	}
	// big enough that its restore lasts until the remote is frozen
	_, err := alpha.Exec(ctx, "sh", "-c", "head -c 300M /dev/urandom >"+notesVolume+"/ballast")
	must(t, err)
	t.Run("killed before the restore", func(t *testing.T) {
		next := spares(t, w, "beta", "gamma")
		beta, gamma := next[0], next[1]
		_, err := w.Salvor(ctx, nil, "apply")
		must(t, err)
		lose(t, s, w, alpha, beta, stacks, func(h *lab.Host) { killSalvord(t, s, h) })
		allRows(t, s, &collector, beta, stacks)
		lose(t, s, w, beta, gamma, stacks, func(h *lab.Host) {
			must(t, h.Kill(ctx))
			must(t, h.Start(ctx))
			s.Count("power cuts before the restore", 1)
		})
		allRows(t, s, &collector, gamma, stacks)
	})
}

const (
	notesVolume = "/var/lib/docker/volumes/notes_data/_data"
	kept        = "/kept on purpose"
)

func exec(t *testing.T, h *lab.Host, script string) string {
	t.Helper()
	out, err := h.Exec(t.Context(), "sh", "-c", script)
	must(t, err)
	return strings.TrimSpace(out)
}

// emptied takes everything out of a volume and reboots the host.
func emptied(t *testing.T, s *scenario.Scenario, h *lab.Host) {
	exec(t, h, "echo precious >'"+libraryVolume+kept+"'; find "+libraryVolume+" -mindepth 1 -delete")
	must(t, h.Reboot(t.Context()))
	eventually(t, "library runs again", func() error { return runs(t, h, "library", 1) })
	if left := exec(t, h, "ls -A "+libraryVolume); left != "" {
		t.Errorf("a volume emptied on purpose came back with %q", left)
	}
	s.Count("emptied volumes left empty", 1)
}

// runs returns an error unless so many containers of the stack run.
func runs(t *testing.T, h *lab.Host, stack string, want int) error {
	out, err := h.Exec(t.Context(), "docker", "ps", "-q", "--filter", "label=com.docker.compose.project="+stack)
	if n := len(strings.Fields(out)); err == nil && n != want {
		err = fmt.Errorf("%d containers of %s run, want %d", n, stack, want)
	}
	return err
}

// removed takes a stack out of Git: stopped, its data kept.
func removed(t *testing.T, s *scenario.Scenario, w *world.World, h *lab.Host) {
	ctx := t.Context()
	exec(t, h, "echo one >"+libraryVolume+"/book")
	_, err := w.Salvor(ctx, nil, "snapshot", "take", "library")
	must(t, err)
	withdraw(t, w, "library")
	must(t, runs(t, h, "library", 0))
	if got := exec(t, h, "cat "+libraryVolume+"/book"); got != "one" {
		t.Errorf("a removed stack's data is %q", got)
	}
	if _, placed := readLock(t, w).Stacks["library"]; placed {
		t.Error("the removed stack is still in the lock")
	}
	settled(t, w)
	s.Count("stacks removed, data kept", 1)
}

// withdraw removes a stack from Git and applies.
func withdraw(t *testing.T, w *world.World, stack string) {
	t.Helper()
	must(t, os.RemoveAll(filepath.Join(w.Dir, "stacks", stack)))
	must(t, w.Commit(t.Context(), stack+" is no longer wanted"))
	_, err := w.Salvor(t.Context(), nil, "apply")
	must(t, err)
}

// usedBefore adds a stack under the name of the one that was removed.
func usedBefore(t *testing.T, s *scenario.Scenario, w *world.World, h *lab.Host) {
	ctx := t.Context()
	images, err := w.Images(ctx)
	must(t, err)
	compose := library("alpha", images.Nginx)
	must(t, w.Write("stacks/library/compose.yaml", compose))
	must(t, w.Commit(ctx, "library again"))
	exec(t, h, "echo two >"+libraryVolume+"/book")
	before := stored(t, w, "library")
	refused(t, w, fault.General, "--restore library", "apply")
	if _, placed := readLock(t, w).Stacks["library"]; placed {
		t.Error("a refused stack was placed")
	}
	must(t, runs(t, h, "library", 0))
	s.Count("used names refused", 1)

	_, err = w.Salvor(ctx, nil, "apply", "--restore", "library")
	must(t, err)
	must(t, runs(t, h, "library", 1))
	if got := exec(t, h, "cat "+libraryVolume+"/book"); got != "one" {
		t.Errorf("--restore brought %q back, the snapshot has one", got)
	}
	settledFrom(t, w, "library")
	s.Count("names restored", 1)

	withdraw(t, w, "library")
	must(t, w.Write("stacks/library/compose.yaml", compose))
	must(t, w.Commit(ctx, "library a third time"))
	refused(t, w, fault.General, "--fresh library", "apply")
	_, err = w.Salvor(ctx, nil, "apply", "--fresh", "library")
	must(t, err)
	must(t, runs(t, h, "library", 1))
	if left := exec(t, h, "ls -A "+libraryVolume); left != "" {
		t.Errorf("--fresh started with %q", left)
	}
	exec(t, h, "echo three >"+libraryVolume+"/book")
	_, err = w.Salvor(ctx, nil, "snapshot", "take", "library")
	must(t, err)
	after := stored(t, w, "library")
	for name, size := range before {
		// a repository's own locks come and go
		if after[name] != size && !strings.Contains(name, "/locks/") {
			t.Errorf("--fresh touched %s of the old repository", name)
		}
	}
	if len(after) <= len(before) {
		t.Errorf("no new repository: %d files before, %d now", len(before), len(after))
	}
	settledFrom(t, w, "library")
	s.Count("names started fresh, old repository kept", 1)
}

// settledFrom is settled for a fleet in which a name's first claims are from
// earlier lives of it.
func settledFrom(t *testing.T, w *world.World, names ...string) {
	t.Helper()
	settled(t, w)
	lock := readLock(t, w)
	for _, name := range names {
		if lock.Stacks[name].Epoch < 2 {
			t.Errorf("%s is at epoch %d, though its name was claimed before", name, lock.Stacks[name].Epoch)
		}
	}
}

// stored lists a stack's files on the remote with their sizes.
func stored(t *testing.T, w *world.World, stack string) map[string]int64 {
	t.Helper()
	files := map[string]int64{}
	root := filepath.Join(w.Remote.Dir, "salvor", "snapshots", stack)
	must(t, filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			files[strings.TrimPrefix(path, root)] = info.Size()
		}
		return err
	}))
	return files
}

// entryMissing loses a running stack's entry in the lock.
func entryMissing(t *testing.T, s *scenario.Scenario, w *world.World, h *lab.Host, c *oracle.Collector, stacks []world.Stack) {
	ctx := t.Context()
	lock := readLock(t, w)
	delete(lock.Stacks, "photos")
	content, err := lockfile.Encode(lock)
	must(t, err)
	must(t, w.Write("salvor.lock", string(content)))
	must(t, w.Commit(ctx, "an unlucky merge"))
	refused(t, w, fault.General, "--restore photos", "apply")
	must(t, runs(t, h, "photos", 1))
	_, err = w.Salvor(ctx, nil, "apply", "--restore", "photos")
	must(t, err)
	allRows(t, s, c, h, stacks)
	settledFrom(t, w, "photos")
	s.Count("used names refused", 1)
}

// spare adds a host to the fleet. Prepared by the next apply, it makes containers
// sooner than it has their data.
func spare(t *testing.T, w *world.World, name string) *lab.Host {
	t.Helper()
	return spares(t, w, name)[0]
}

// spares has several boot at once.
func spares(t *testing.T, w *world.World, names ...string) []*lab.Host {
	t.Helper()
	hosts := make([]*lab.Host, len(names))
	all, ctx := errgroup.WithContext(t.Context())
	for i, name := range names {
		all.Go(func() (err error) {
			hosts[i], err = w.Host(ctx, name, lab.HostOptions{Prepared: true})
			return err
		})
	}
	must(t, all.Wait())
	for _, h := range hosts {
		must(t, w.Add(t.Context(), h))
	}
	return hosts
}

// lose kills a host and recovers its stacks onto another, which has bad luck when
// the containers of notes are made and its data is not there: the remote falls
// silent when the restore begins, until then.
func lose(t *testing.T, s *scenario.Scenario, w *world.World, lost, next *lab.Host, stacks []world.Stack, badLuck func(*lab.Host)) {
	t.Helper()
	ctx := t.Context()
	snapshots(t, w, stacks)
	must(t, lost.Kill(ctx))
	command := []string{"recover", lost.Name, "--to", next.Name}
	ended := make(chan bool)
	silent := make(chan bool)
	frozen := false
	begins := func(e progress.Event) bool {
		if e.Step == "download" && e.Stack == "notes" && e.State == progress.Started && !frozen {
			frozen = true
			must(t, w.Remote.Freeze(ctx))
			close(silent)
		}
		return false
	}
	go func() {
		defer close(ended)
		killSalvor(t, w, 10*time.Minute, begins, command...)
	}()
	const over = "the recovery ended before the containers of notes were seen without their data"
	select {
	case <-silent:
	case <-ended:
		t.Fatal(over)
	}
	for tick := time.NewTicker(500 * time.Millisecond); !createdOnly(t, next); {
		select {
		case <-ended:
			t.Fatal(over)
		case <-tick.C:
		}
	}
	badLuck(next)
	if state := marker(t, next); state == "ready" {
		t.Error("the data was there already: the kill came too late to say anything")
	}
	must(t, w.Remote.Thaw(ctx))
	<-ended
	_, err := w.Salvor(ctx, nil, command...)
	must(t, err)
	forget(t, w, lost)
	settled(t, w)
	s.Count("restores resumed", 1)
}

// createdOnly reports whether the containers of notes are made and its data is
// not there yet.
func createdOnly(t *testing.T, h *lab.Host) bool {
	out, err := h.Exec(t.Context(), "docker", "ps", "-a", "-q", "--filter", "label=com.docker.compose.project=notes")
	return err == nil && strings.TrimSpace(out) != "" && marker(t, h) != "ready"
}

// marker is what the host says of the volume of notes, "" for nothing.
func marker(t *testing.T, h *lab.Host) string {
	out, err := h.Exec(t.Context(), "cat", "/var/lib/salvor/volumes/notes/data.json")
	if err != nil {
		return ""
	}
	var m struct{ State string }
	must(t, json.Unmarshal([]byte(out), &m))
	return m.State
}
