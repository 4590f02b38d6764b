package scenarios

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// TestNames is faults D6 and V17: under a stack that writes all the time the record
// moves, its host is renamed, and the stack is renamed. Its container runs on through
// all of it. Then the host is lost, and what was snapshotted under the names comes back.
func TestNames(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, usualFor)
	var collector oracle.Collector
	w, err := world.New(ctx, s.Lab, world.Options{Log: testLog{t}})
	must(t, err)
	images, err := w.Images(ctx)
	must(t, err)
	hosts := spares(t, w, "alpha", "beta")
	alpha, beta := hosts[0], hosts[1]
	diary := world.Stack{Name: "diary", Store: "sqlite", Host: "alpha", Port: 8081, Every: "20ms", Size: 100}
	must(t, w.Write("stacks/diary/compose.yaml", diary.Compose(images, listen(t, s.Lab, &collector))))
	must(t, w.Commit(ctx, "a diary"))
	_, err = w.Salvor(ctx, nil, "apply")
	must(t, err)
	writesAfter(t, &collector, "diary", time.Now())
	before := lodging(t, alpha, "diary")

	old := readLock(t, w).Record
	_, err = w.Salvor(ctx, nil, "record", "move", "nas:elsewhere/record")
	must(t, err)
	if now := readLock(t, w).Record; now == old || now.Path != "elsewhere/record" {
		t.Errorf("the record was at %s, it is at %s", old, now)
	}
	settled(t, w)
	undisturbed(t, s, &collector, alpha, diary, before)

	edit(t, w, "fleet.yaml", "alpha: {", "omega: {formerly: alpha, ")
	edit(t, w, "stacks/diary/compose.yaml", "host: alpha", "host: omega\n  formerly: diary")
	must(t, os.Rename(filepath.Join(w.Dir, "stacks", "diary"), filepath.Join(w.Dir, "stacks", "journal")))
	must(t, w.Commit(ctx, "alpha is called omega, and diary journal"))
	plan, err := w.Salvor(ctx, nil, "plan")
	must(t, err)
	if !strings.Contains(plan, "now called journal") || strings.Contains(plan, "empty") {
		t.Errorf("the plan:\n%s", plan)
	}
	_, err = w.Salvor(ctx, nil, "apply")
	must(t, err)
	settled(t, w)
	undisturbed(t, s, &collector, alpha, diary, before)

	taken := time.Now()
	_, err = w.Salvor(ctx, nil, "snapshot", "take", "journal")
	must(t, err)
	if row, err := w.Salvor(ctx, nil, "status"); err != nil || !strings.Contains(row, "journal (diary)") || !strings.Contains(row, "omega") {
		t.Errorf("status: %v\n%s", err, row)
	}
	lostAndBack(t, s, w, &collector, alpha, beta, taken)
}

// edit changes one place of a file in the control repository.
func edit(t *testing.T, w *world.World, file, old, now string) {
	t.Helper()
	content, err := w.Read(file)
	must(t, err)
	if !strings.Contains(content, old) {
		t.Fatalf("%s has no %q:\n%s", file, old, content)
	}
	must(t, w.Write(file, strings.Replace(content, old, now, 1)))
}

// lostAndBack loses the renamed host, and has the renamed stack back on another one
// with every row that the snapshot may be asked for.
func lostAndBack(t *testing.T, s *scenario.Scenario, w *world.World, c *oracle.Collector, lost, to *lab.Host, taken time.Time) {
	t.Helper()
	ctx := t.Context()
	must(t, lost.Kill(ctx))
	_, err := w.Salvor(ctx, nil, "recover", "omega", "--to", to.Name)
	must(t, err)
	back, err := rows(ctx, to, 8081)
	must(t, err)
	if err := c.Check("diary", back, taken); err != nil {
		t.Error(err)
	}
	s.Count("rows back", len(back))
	writesAfter(t, c, "diary", time.Now())
}
