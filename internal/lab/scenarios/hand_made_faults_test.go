package scenarios

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// A handMade is a fleet to which one fault after the other is done by hand: to
// Salvor's own notes, to claims, to single objects on the remote, to processes at one
// step. Its stacks write all the time and report to a collector outside.
type handMade struct {
	*scenario.Scenario
	w           *world.World
	c           *oracle.Collector
	alpha, beta *lab.Host
	on          *lab.Host // that owns all stacks
	dead        *lab.Host // that has lost them and has no power
	stacks      []world.Stack
	gaps        map[string][]gap // by stack
	began       time.Time        // of the fault
}

// A gap is a time whose rows may be gone: their data was brought back from
// before, on purpose.
type gap struct{ from, to time.Time }

// The faults in the order in which they are done.
var handMadeFaults = []struct {
	name string
	full bool // only when there is time
	do   func(*handMade, *testing.T)
}{
	{"V1a notes lost, then a reboot", false, (*handMade).notesLostAtBoot},
	{"V1b notes lost, then apply", false, (*handMade).notesLostBeforeApply},
	{"V4 volumes removed by Compose", false, (*handMade).volumesRemoved},
	{"V19 own files emptied", false, (*handMade).filesEmptied},
	{"V15 restore cut during the download", false, (*handMade).restoreCutEarly},
	{"V15 restore cut before it is noted", true, (*handMade).restoreCutBeforeNote},
	{"V15 restore cut before the start", true, (*handMade).restoreCutBeforeStart},
	{"V5 interrupted move, run again", false, (*handMade).moveRunAgain},
	{"V6 V8 damaged snapshots, then the host is lost", false, (*handMade).damagedThenLost},
	{"V9 newest claims lost, the old host comes back", false, (*handMade).claimsLost},
	{"V10 recovered while the old host lives", false, (*handMade).recoveredAlive},
	{"V2 a sidecar that crashes", true, (*handMade).crashingSidecar},
	{"V3 a project that runs already", true, (*handMade).occupied},
	{"V7 stray files and a flipped bit", true, (*handMade).strayFiles},
	{"V11 claim lost in the midst of a prune", true, (*handMade).pruneWithoutClaim},
	{"V12 newest snapshot not listed", true, (*handMade).newestNotListed},
	{"V13 no snapshot ever, the host comes back", true, (*handMade).neverTaken},
	{"V14 settings that change alone", true, (*handMade).settingsChange},
	{"V16 an upgrade that fails", true, (*handMade).upgradeFails},
	{"V17 a stack that is renamed", true, (*handMade).renamed},
	{"V18 a clock that was ahead", true, (*handMade).clockAhead},
	{"V20 two operators without Git", true, (*handMade).twoRecoverWithoutGit},
	{"V21 snapshot and guardian killed", true, (*handMade).killedWhilePaused},
	{"V22 the remote's disk is not mounted", true, (*handMade).remoteEmptied},
}

// TestHandMadeFaults does what a hand, a NAS or a power cut does to a fleet, one
// fault after the other, under constant writes: no acknowledged row is lost, and
// no two hosts write.
func TestHandMadeFaults(t *testing.T) {
	s := scenario.Begin(t, usualFor)
	var collector oracle.Collector
	h := &handMade{Scenario: s, c: &collector, gaps: map[string][]gap{}}
	h.start(t)
	for _, f := range handMadeFaults {
		if f.full && !s.Full {
			continue
		}
		h.began = time.Now()
		ok := t.Run(f.name, func(t *testing.T) {
			f.do(h, t)
			s.Count("faults", 1)
		})
		t.Logf("%s: %s", f.name, time.Since(h.began).Round(time.Second/10))
		if !ok { // what it lost is not held against the next one
			for _, st := range h.stacks {
				h.gone(st, time.Time{})
			}
		}
	}
}

// start has the stacks write on alpha, with a snapshot of each.
func (h *handMade) start(t *testing.T) {
	ctx := t.Context()
	var err error
	h.w, err = world.New(ctx, h.Lab, world.Options{Log: testLog{t}, Faults: true})
	must(t, err)
	images, err := h.w.Images(ctx)
	must(t, err)
	hosts := spares(t, h.w, "alpha", "beta")
	h.alpha, h.beta = hosts[0], hosts[1]
	h.on = h.alpha
	_, err = h.w.Salvor(ctx, strings.NewReader("s3cret-of-the-blog"), "secret", "set", "blog/POSTGRES_PASSWORD")
	must(t, err)
	h.stacks = append(guarded("alpha"), world.Stack{Name: "photos", Store: "files", Host: "alpha", Port: 8083, Every: "50ms", Size: 2000})
	url := listen(t, h.Lab, h.c)
	for _, st := range h.stacks {
		must(t, h.w.Write("stacks/"+st.Name+"/compose.yaml", st.Compose(images, url)))
	}
	fleet, err := h.w.Read("fleet.yaml")
	must(t, err)
	kept := strings.Replace(fleet, "last: 8, daily: 14", "last: 50, daily: 14", 1)
	if kept == fleet {
		t.Fatalf("fleet.yaml keeps otherwise: %s", fleet)
	}
	must(t, h.w.Write("fleet.yaml", kept)) // a prune rewrites the packs that faults are about
	must(t, h.w.Commit(ctx, "the stacks"))
	h.apply(t)
	h.write(t)
	h.take(t, h.stacks...)
}

func (h *handMade) salvor(t *testing.T, args ...string) string {
	t.Helper()
	out, err := h.w.Salvor(t.Context(), nil, args...)
	must(t, err)
	return out
}

func (h *handMade) apply(t *testing.T) {
	t.Helper()
	h.salvor(t, "apply")
}

// write waits until every stack has written again.
func (h *handMade) write(t *testing.T) {
	t.Helper()
	since := time.Now()
	for _, st := range h.stacks {
		writesAfter(t, h.c, st.Name, since)
	}
}

// take takes snapshots and returns when the first began.
func (h *handMade) take(t *testing.T, stacks ...world.Stack) time.Time {
	t.Helper()
	began := time.Now()
	all, ctx := errgroup.WithContext(t.Context())
	for _, st := range stacks {
		all.Go(func() error {
			_, err := h.w.Salvor(ctx, nil, "snapshot", "take", st.Name)
			return err
		})
	}
	must(t, all.Wait())
	return began
}

// gone says that what a stack wrote since a time was given up for older data.
func (h *handMade) gone(stack world.Stack, since time.Time) {
	h.gaps[stack.Name] = append(h.gaps[stack.Name], gap{since, time.Now()})
}

// lost is how many of a stack's rows are missing on its host which are in no gap.
func (h *handMade) lost(t *testing.T, st world.Stack) int {
	t.Helper()
	asked := time.Now()
	var all []oracle.Row
	eventually(t, st.Name+" answers on "+h.on.Name, func() (err error) {
		all, err = rows(t.Context(), h.on, st.Port)
		return err
	})
	if _, err := oracle.Verify(all); err != nil {
		t.Errorf("%s on %s: %v", st.Name, h.on.Name, err)
	}
	h.Count("rows checked", len(all))
	counted := h.c.Only(func(a oracle.Ack) bool {
		for _, g := range h.gaps[st.Name] {
			if a.At.After(g.from) && a.At.Before(g.to) {
				return false
			}
		}
		return a.At.Before(asked)
	})
	return counted.Lost(st.Name, all)
}

// judge has every stack write on and looks for rows that are lost and seconds in
// which two hosts wrote, since the fault began.
func (h *handMade) judge(t *testing.T) {
	t.Helper()
	h.write(t)
	for _, st := range h.stacks {
		lost := h.lost(t, st)
		together := h.c.Only(func(a oracle.Ack) bool { return a.At.After(h.began) }).Together(st.Name)
		t.Logf("%s on %s: rows lost %d, seconds with two writers %d", st.Name, h.on.Name, lost, together)
		h.Count("rows lost", lost)
		h.Count("seconds with two writers", together)
		if lost > 0 || together > 0 {
			t.Errorf("%s: %d rows that were acknowledged are lost, in %d seconds two hosts wrote", st.Name, lost, together)
		}
	}
}

// asDeclared checks that nothing is left to do.
func (h *handMade) asDeclared(t *testing.T) { t.Helper(); h.salvor(t, "plan", "--check") }

// add commits another stack.
func (h *handMade) add(t *testing.T, name, compose string) {
	t.Helper()
	must(t, h.w.Write("stacks/"+name+"/compose.yaml", compose))
	must(t, h.w.Commit(t.Context(), name))
}

// objects returns the files of one kind in a stack's repository on the remote,
// with when they were written.
func (h *handMade) objects(t *testing.T, stack, kind string) map[string]time.Time {
	t.Helper()
	found := map[string]time.Time{}
	root := filepath.Join(h.w.Remote.Dir, "salvor", "snapshots")
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		// stack, repository, kind, and the object
		at := strings.Split(strings.TrimPrefix(path, root+"/"), "/")
		if err != nil || d.IsDir() || len(at) < 4 || at[0] != stack || at[2] != kind {
			return err
		}
		info, err := d.Info()
		found[path] = info.ModTime()
		return err
	}))
	if len(found) == 0 {
		t.Fatalf("%s has no %s on the remote", stack, kind)
	}
	return found
}

// drop removes files of the remote behind everybody's back.
func (h *handMade) drop(t *testing.T, files ...string) {
	t.Helper()
	for _, f := range files {
		must(t, os.Remove(f))
	}
	h.Count("files of the remote removed", len(files))
}
