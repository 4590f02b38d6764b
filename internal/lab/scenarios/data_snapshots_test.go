package scenarios

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
)

// A takenSnapshot is one that was taken under load.
type takenSnapshot struct {
	id     string
	before holding // what there was when it began
	ended  int     // rows that there were when it ended
	took   time.Duration
	paused time.Duration
}

// takes takes snapshots while everything writes.
func (d *dataFleet) takes(t *testing.T) {
	within(t, 10*time.Minute, "the host's own first snapshot is on every target", func() error {
		for _, f := range d.take(t).Findings {
			if f.Code == finding.SnapshotLasts {
				return errors.New(f.Text)
			}
		}
		return nil
	})
	for range repeats(d.Scenario, 20, 2) {
		d.writes(t, time.Now())
		before, err := d.holding(t.Context(), d.on)
		must(t, err)
		began := time.Now()
		r := d.take(t)
		for _, f := range r.Findings {
			t.Errorf("finding %s: %s", f.Code, f.Text)
		}
		d.taken = append(d.taken, takenSnapshot{
			id: r.Snapshot.ID, before: before, ended: len(d.collector.Acks("shop")), took: time.Since(began), paused: r.Paused,
		})
	}
	var pauses []time.Duration
	for _, s := range d.taken {
		pauses = append(pauses, s.paused)
	}
	slices.Sort(pauses)
	t.Logf("pauses of %d snapshots: p50 %s, p95 %s", len(pauses), quantile(pauses, 50).Round(time.Millisecond), quantile(pauses, 95).Round(time.Millisecond))
	d.Count("snapshots under load", len(d.taken))
}

func (d *dataFleet) take(t *testing.T) (r agentapi.SnapshotReceipt) {
	t.Helper()
	must(t, json.Unmarshal([]byte(d.salvor(t, "snapshot", "take", "shop", "--json")), &r))
	return r
}

// quantile is the smallest of sorted times that so many of a hundred do not exceed.
func quantile(sorted []time.Duration, of int) time.Duration {
	return sorted[(len(sorted)*of+99)/100-1]
}

// killed kills (-9) what takes a snapshot: once while everything is paused, and then at
// random moments. Each time everything runs on. A moment at which the snapshot has ended already
// is drawn again.
func (d *dataFleet) killed(t *testing.T) {
	want := repeats(d.Scenario, 20, 2)
	for kills, tries := 0, 0; kills < want; tries++ {
		if tries == 3*want {
			t.Fatalf("of %d snapshots %d ended before their moment", tries, tries-kills)
		}
		if d.kill(t, tries == 0) {
			kills++
		}
	}
	d.Count("snapshots killed", want)
	d.Count("services left stopped or paused", 0)
}

// kill kills what takes a snapshot, and reports whether that was in time.
func (d *dataFleet) kill(t *testing.T, whilePaused bool) bool {
	ctx := t.Context()
	d.writes(t, time.Now()) // so that there is something to take
	if whilePaused {
		must(t, d.on.Hold(ctx, "paused"))
	}
	began := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = d.w.Salvor(ctx, nil, "snapshot", "take", "shop") // it is killed, unless its moment comes too late
	}()
	if whilePaused {
		must(t, d.on.Held(ctx, "paused"))
	} else {
		<-time.After(time.Duration(d.Rand.Int64N(int64(d.quickest()))))
	}
	victims := exec(t, d.on, snapshotProcesses)
	if victims != "" {
		exec(t, d.on, "kill -9 "+victims+" 2>/dev/null || true") // one of them may have ended since
	}
	since := time.Now()
	must(t, d.on.LetGo(ctx, "paused"))
	within(t, 2*time.Minute, "everything runs on", func() error { return d.allRun(t) })
	t.Logf("killed %s into it: everything ran again after %s", since.Sub(began).Round(time.Millisecond), time.Since(since).Round(time.Second/10))
	<-done
	d.writes(t, since)
	return victims != ""
}

// quickest is how long the quickest of the snapshots took.
func (d *dataFleet) quickest() time.Duration {
	return slices.MinFunc(d.taken, func(a, b takenSnapshot) int { return cmp.Compare(a.took, b.took) }).took
}

// snapshotProcesses prints the ids of all that takes a snapshot, but not of this shell,
// whose command line has brackets.
const snapshotProcesses = `for p in /proc/[0-9]*; do case "$(tr '\0' ' ' <$p/cmdline)" in *"salvord "[s]"napshot "*|*"salvord "[g]"uard "*|[r]"estic "*|*/[r]"estic "*) echo -n "${p#/proc/} ";; esac; done 2>/dev/null`

// allRun returns an error unless every service of the shop runs and none is paused.
func (d *dataFleet) allRun(t *testing.T) error {
	t.Helper()
	states := strings.Fields(exec(t, d.on, `docker ps -a --filter label=com.docker.compose.project=shop --format '{{.State}}'`))
	if len(states) != shopServices || slices.ContainsFunc(states, func(s string) bool { return s != "running" }) {
		return fmt.Errorf("the shop's services are %v", states)
	}
	return nil
}

// moves moves the shop to the other host: nothing that was written is missing there.
func (d *dataFleet) moves(t *testing.T) {
	ctx := t.Context()
	began := time.Now()
	before, err := d.holding(ctx, d.on)
	must(t, err)
	_, err = inShop(ctx, d.on, "album", "sh", "-c", "echo late >/srv/library/late") // it waits for its upload
	must(t, err)
	files, err := sharedFiles(ctx, d.on)
	must(t, err)
	d.salvor(t, "move", "shop", "--to", d.other.Name)
	d.on, d.other = d.other, d.on
	d.writes(t, began)
	asked := time.Now()
	after, err := d.holding(ctx, d.on)
	must(t, err)
	if err := after.since(before); err != nil {
		t.Error(err)
	}
	if err := d.collector.Check("shop", after.rows, asked.Add(-time.Second)); err != nil {
		t.Error(err)
	}
	there, err := sharedFiles(ctx, d.on)
	must(t, err)
	for _, name := range files {
		if !slices.Contains(there, name) {
			t.Errorf("the shared file %s did not move along", name)
		}
	}
	if late, err := d.onDrive("late"); err != nil || late != "late\n" {
		t.Errorf("the file that waited for its upload is %q on Drive, %v", late, err)
	}
	d.Count("shared files moved", len(files)+1)
}

// onDrive returns what the remote has of a shared file.
func (d *dataFleet) onDrive(name string) (string, error) {
	for _, e := range d.drive.Look(d.root) {
		if e.Path == "salvor/shared/shop/library/"+name && !e.Trashed {
			content, err := d.drive.Content(e.ID)
			return string(content), err
		}
	}
	return "", fmt.Errorf("%s is not on Drive", name)
}

// restored brings each snapshot back, on the host that did not take it.
func (d *dataFleet) restored(t *testing.T) {
	ctx := t.Context()
	for _, s := range d.taken {
		began := time.Now()
		d.salvor(t, "restore", "shop", "--snapshot", s.id)
		d.writes(t, began)
		h, err := d.holding(ctx, d.on)
		must(t, err) // the invariants
		if err := h.since(s.before); err != nil {
			t.Errorf("snapshot %.8s: %v", s.id, err)
		}
		if first := firstAfter(d, began); first > s.ended+1 {
			t.Errorf("snapshot %.8s: rows go on with %d, but it was taken when there were at most %d", s.id, first, s.ended)
		}
		d.Count("snapshots restored on the other host", 1)
	}
}

// firstAfter is the lowest row that was acknowledged after a time.
func firstAfter(d *dataFleet, since time.Time) int {
	lowest := 0
	for _, a := range d.collector.Acks("shop") {
		if a.At.After(since) && (lowest == 0 || a.N < lowest) {
			lowest = a.N
		}
	}
	return lowest
}
