package twin

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inWorld runs a test in a world of its own.
func inWorld(t *testing.T, seed uint64, test func(t *testing.T, w *world)) {
	t.Helper()
	shop, err := newWorkshop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := tempDir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		w, err := newWorld(ctx, shop, seed, dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.start(); err != nil {
			t.Fatal(err)
		}
		test(t, w)
		cancel()
		w.end()
		if t.Failed() {
			for _, line := range w.log {
				t.Log(line)
			}
		}
	})
}

func TestARecoveryBringsBackWhatASnapshotHeld(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		alice := &operator{w: w, name: "alice", clone: w.git.Clone()}
		if err := alice.run("apply", 0, func(ctx context.Context, c *command) error { return c.apply(ctx) }); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		alpha, beta := w.hosts[0], w.hosts[1]
		held := alpha.data("notes")
		if err := alice.run("snapshot", 0, func(ctx context.Context, c *command) error {
			id, err := c.take(ctx, "notes")
			if err == nil {
				w.acknowledged("notes", id, held, 0)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		alpha.powerOff()
		if err := alice.run("recover", 0, func(ctx context.Context, c *command) error { return c.recover(ctx, "alpha", "beta") }); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		if held == "" || !beta.runs("notes") {
			t.Errorf("beta runs notes: %v; it held %q", beta.runs("notes"), held)
		}
		w.kept(beta, "notes", "has")
		w.search()
		for _, b := range w.laws {
			t.Error(b)
		}
	})
}

// TestASnapshotSurvivesAnyPowerCutOnceItIsAcknowledged: whatever call the power is cut at,
// one that is acknowledged holds what the volume held, and the volume has that after the boot.
func TestASnapshotSurvivesAnyPowerCutOnceItIsAcknowledged(t *testing.T) {
	acknowledged, refused := 0, 0
	for cut := 5; cut < 160; cut += 31 {
		inWorld(t, 1, func(t *testing.T, w *world) {
			alice := &operator{w: w, name: "alice", clone: w.git.Clone()}
			if err := alice.run("apply", 0, func(ctx context.Context, c *command) error { return c.apply(ctx) }); err != nil {
				t.Fatal(err)
			}
			w.pass(time.Minute)
			alpha := w.hosts[0]
			held := alpha.data("notes")
			alpha.mu.Lock()
			alpha.cutAt = alpha.calls + cut
			alpha.mu.Unlock()
			var id string
			err := alice.run("snapshot", 0, func(ctx context.Context, c *command) (err error) {
				id, err = c.take(ctx, "notes")
				return err
			})
			alpha.powerOff()
			if onErr := alpha.powerOn(); onErr != nil {
				t.Fatal(onErr)
			}
			if is := alpha.data("notes"); !strings.HasPrefix(is, held) {
				t.Errorf("cut at %d: the volume has %d bytes of %d", cut, len(is), len(held))
			}
			if err != nil {
				refused++
				return
			}
			acknowledged++
			lock, err := lockOf(w.git.Files())
			if err != nil {
				t.Fatal(err)
			}
			if is, err := w.inSnapshot(lock, "notes", id); is != held || err != nil {
				t.Errorf("cut at %d: the snapshot has %q, %v", cut, is, err)
			}
		})
	}
	if acknowledged == 0 || refused == 0 {
		t.Errorf("%d were acknowledged, %d were not: the cuts miss what they are for", acknowledged, refused)
	}
}

// budget is after how long no more worlds are begun, on a machine that is busy.
const budget = 45 * time.Second

// least is how many worlds have to be made in it: with fewer the laws were not tried.
const least = 10

// TestWorlds makes random worlds and checks the laws in each: first those of the seeds in
// testdata, in which a law was once broken.
func TestWorlds(t *testing.T) {
	ws, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, n := asked(t)
	seeds := append(kept(t), Counted(first, n)...)
	began := time.Now()
	more := func() bool { return time.Since(began) < budget }
	var all Tally
	t.Run("seed", func(t *testing.T) {
		ws.Many(t, seeds, more, func(r Result) {
			all.Add(r.Tally)
			if len(r.Broken) > 0 {
				t.Error(r.Report())
			}
		})
	})
	t.Logf("%+v", all)
	if all.Worlds < min(n, least) {
		t.Errorf("%d of %d worlds were begun within %s", all.Worlds, len(seeds), budget)
	}
}

// asked says which worlds are made: TWIN_SEED and TWIN_WORLDS say so.
func asked(t *testing.T) (first uint64, n int) {
	t.Helper()
	first, n = 1, 200
	if testing.Short() {
		n = 20
	}
	for name, into := range map[string]any{"TWIN_SEED": &first, "TWIN_WORLDS": &n} {
		if text := os.Getenv(name); text != "" {
			if _, err := fmt.Sscan(text, into); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	return first, n
}

// kept are the seeds in testdata: one a line, before what it found.
func kept(t *testing.T) []uint64 {
	t.Helper()
	content, err := os.ReadFile("testdata/seeds")
	if err != nil {
		t.Fatal(err)
	}
	var seeds []uint64
	for line := range strings.Lines(string(content)) {
		text, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if text == "" || text == "#" {
			continue
		}
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("testdata/seeds: %v", err)
		}
		seeds = append(seeds, seed)
	}
	return seeds
}
