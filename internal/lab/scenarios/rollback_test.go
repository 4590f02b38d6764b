package scenarios

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
	"salvor/internal/progress"
)

// A backing is one stack that is taken back in time.
type backing struct {
	*scenario.Scenario
	w         *world.World
	host      *lab.Host
	collector *oracle.Collector
	stack     world.Stack
	images    [2]string // the old and the new version's reference
	apart     time.Time // before it the old version wrote, after it the new one
}

// TestRollback upgrades stacks and takes them back: without their data where
// that is safe, with it where an older image would meet newer data, and each of
// the commands killed on its way.
func TestRollback(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, usualFor)
	var collector oracle.Collector
	w, err := world.New(ctx, s.Lab, world.Options{Log: testLog{t}})
	must(t, err)
	images, err := w.Images(ctx)
	must(t, err)
	next, err := s.Image(ctx, lab.Writer)
	must(t, err)
	renamed, err := w.Registry.PushAs(ctx, next, "writer:next")
	must(t, err)
	alpha, err := w.Host(ctx, "alpha", lab.HostOptions{Prepared: true})
	must(t, err)
	must(t, w.Add(ctx, alpha))
	_, err = w.Salvor(ctx, strings.NewReader("s3cret-of-the-blog"), "secret", "set", "blog/POSTGRES_PASSWORD")
	must(t, err)
	address := listen(t, s.Lab, &collector)
	stacks := []world.Stack{
		{Name: "notes", Store: "sqlite", Host: "alpha", Port: 8081, Every: "20ms", Size: 100},
		{Name: "blog", Store: "postgres", Host: "alpha", Port: 8082, Every: "20ms", Size: 100},
	}
	for _, st := range stacks {
		must(t, w.Write("stacks/"+st.Name+"/compose.yaml", st.Compose(images, address)))
	}
	must(t, w.Commit(ctx, "the stacks"))
	_, err = w.Salvor(ctx, nil, "apply")
	must(t, err)
	for _, st := range stacks {
		b := &backing{Scenario: s, w: w, host: alpha, collector: &collector, stack: st, images: [2]string{images.Writer, renamed}}
		t.Run(st.Name+" upgraded and back", b.upgradedAndBack)
		if t.Failed() {
			return
		}
	}
	b := &backing{Scenario: s, w: w, host: alpha, collector: &collector, stack: stacks[0]}
	t.Run("restored after its data was lost", b.emptied)
	t.Run("restore killed on its way", b.killed)
	t.Run("down and up", b.downAndUp)
}

// upgrade changes the image's tag and applies; a snapshot comes first.
func (b *backing) upgrade(t *testing.T) {
	ctx := t.Context()
	writesAfter(t, b.collector, b.stack.Name, time.Now())
	file := "stacks/" + b.stack.Name + "/compose.yaml"
	content, err := b.w.Read(file)
	must(t, err)
	must(t, b.w.Write(file, strings.Replace(content, b.images[0], b.images[1], 1)))
	must(t, b.w.Commit(ctx, b.stack.Name+": the next version"))
	b.apart = time.Now()
	_, err = b.w.Salvor(ctx, nil, "apply")
	must(t, err)
	writesAfter(t, b.collector, b.stack.Name, time.Now())
}

func (b *backing) upgradedAndBack(t *testing.T) {
	ctx := t.Context()
	b.upgrade(t)
	refused(t, b.w, fault.General, "older than the data", "rollback", b.stack.Name)
	b.Count("rollbacks refused", 1)

	before := len(b.rows(t))
	out, err := b.w.Salvor(ctx, nil, "rollback", b.stack.Name, "--with-data")
	must(t, err)
	t.Log(out)
	b.check(t, b.apart)
	if image := exec(t, b.host, "docker inspect -f '{{.Config.Image}}' "+b.stack.Name+"-app-1"); !strings.HasPrefix(image, b.images[0]+"@") {
		t.Errorf("after the rollback it runs %s", image)
	}
	b.done(t)
	if newest := b.snapshots(t); newest[len(newest)-1].Images["app"] == "" || !strings.HasPrefix(newest[len(newest)-1].Images["app"], b.images[0]+"@") {
		t.Errorf("the newest snapshot is of %v", newest[len(newest)-1].Images)
	}
	t.Logf("%d rows before the rollback, %d after", before, len(b.rows(t)))
	b.Count("rollbacks with data", 1)

	t.Log("forward again by name, keeping the data")
	list, err := b.w.Salvor(ctx, nil, "rollback", b.stack.Name, "--list")
	must(t, err)
	t.Log(list)
	_, err = b.w.Salvor(ctx, nil, "rollback", b.stack.Name, "--keep-data")
	must(t, err)
	b.check(t, b.apart)
	b.done(t)
	b.Count("rollbacks keeping data", 1)
}

// rows asks the stack for what it holds, once it answers.
func (b *backing) rows(t *testing.T) (all []oracle.Row) {
	t.Helper()
	eventually(t, b.stack.Name+" answers", func() (err error) {
		all, err = rows(t.Context(), b.host, b.stack.Port)
		return err
	})
	return all
}

// check verifies an unbroken chain that has all that was acknowledged before.
func (b *backing) check(t *testing.T, before time.Time) {
	t.Helper()
	all := b.rows(t)
	if err := b.collector.Check(b.stack.Name, all, before); err != nil {
		t.Error(err)
	}
	b.Count("rows checked", len(all))
}

// done checks that nothing is left to do: no wish in the lock, nothing to apply.
func (b *backing) done(t *testing.T) {
	t.Helper()
	if wish := readLock(t, b.w).Stacks[b.stack.Name].Restore; wish != nil {
		t.Errorf("the lock still wishes for %+v", wish)
	}
	settled(t, b.w)
}

func (b *backing) snapshots(t *testing.T) []agentapi.SnapshotRow {
	t.Helper()
	out, err := b.w.Salvor(t.Context(), nil, "--json", "snapshot", "ls", b.stack.Name)
	must(t, err)
	var list agentapi.SnapshotList
	must(t, json.Unmarshal([]byte(out), &list))
	if len(list.Snapshots) == 0 {
		t.Fatal("no snapshots")
	}
	return list.Snapshots
}

// held takes a snapshot and returns the rows that it must hold, and its id.
func (b *backing) held(t *testing.T) ([]oracle.Row, string) {
	t.Helper()
	writesAfter(t, b.collector, b.stack.Name, time.Now())
	all := b.rows(t)
	_, err := b.w.Salvor(t.Context(), nil, "snapshot", "take", b.stack.Name)
	must(t, err)
	known := b.snapshots(t)
	writesAfter(t, b.collector, b.stack.Name, time.Now())
	return all, known[len(known)-1].ID
}

// holds verifies an unbroken chain that begins with these rows.
func (b *backing) holds(t *testing.T, want []oracle.Row) {
	t.Helper()
	all := b.rows(t)
	if _, err := oracle.Verify(all); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, all[:min(len(want), len(all))]); diff != "" {
		t.Errorf("%s lost rows of its snapshot:\n%s", b.stack.Name, diff)
	}
	b.Count("rows checked", len(all))
}

// emptied removes the data under a running stack: its snapshots are refused, but a
// restore is possible.
func (b *backing) emptied(t *testing.T) {
	ctx := t.Context()
	want, _ := b.held(t)
	exec(t, b.host, "docker stop notes-app-1 && find "+notesVolume+" -mindepth 1 -delete")
	refused(t, b.w, fault.General, "empty", "snapshot", "take", b.stack.Name)
	if status := statusOf(t, b.w); !strings.Contains(status, "volume-empty") {
		t.Errorf("status does not tell of the empty volume:\n%s", status)
	}
	out, err := b.w.Salvor(ctx, nil, "restore", b.stack.Name)
	must(t, err)
	t.Log(out)
	b.holds(t, want)
	b.done(t)
	b.Count("volumes restored in place", 1)
}

// killed restores a snapshot while salvor, then salvord, is killed; a plain apply
// finishes it.
func (b *backing) killed(t *testing.T) {
	for _, step := range drawn(b.Scenario, []string{"download", "commit", "stop", "record the owners"}, 1) {
		want, id := b.held(t)
		b.kill(t, func(e progress.Event) bool { return e.Step == step && e.State == progress.Done }, id[:12])
		b.finished(t, want)
	}
	want, id := b.held(t)
	b.kill(t, func(e progress.Event) bool {
		if e.Step == "download" && e.State == progress.Done {
			killSalvord(t, b.Scenario, b.host)
		}
		return false
	}, id)
	b.finished(t, want)
}

// finished has an apply finish what was begun.
func (b *backing) finished(t *testing.T, want []oracle.Row) {
	t.Helper()
	_, err := b.w.Salvor(t.Context(), nil, "apply")
	must(t, err)
	b.holds(t, want)
	b.done(t)
}

func (b *backing) kill(t *testing.T, moment func(progress.Event) bool, id string) {
	t.Helper()
	if killSalvor(t, b.w, 5*time.Minute, moment, "restore", b.stack.Name, "--snapshot", id) {
		b.Count("restores killed", 1)
	}
}

func (b *backing) downAndUp(t *testing.T) {
	ctx := t.Context()
	_, err := b.w.Salvor(ctx, nil, "down", b.stack.Name)
	must(t, err)
	must(t, runs(t, b.host, b.stack.Name, 0))
	must(t, b.host.Reboot(ctx))
	eventually(t, "blog runs after the boot", func() error { return runs(t, b.host, "blog", 2) })
	must(t, runs(t, b.host, b.stack.Name, 0))
	down := time.Now()
	_, err = b.w.Salvor(ctx, nil, "up", b.stack.Name)
	must(t, err)
	must(t, runs(t, b.host, b.stack.Name, 1))
	eventually(t, "it writes again", func() error {
		if n := len(acksFrom(b.collector, b.stack.Name, b.host, down)); n < 5 {
			return errors.New(fmt.Sprint(n, " rows"))
		}
		return nil
	})
	b.done(t)
	b.Count("stacks stopped across a boot and started", 1)
}
