package scenarios

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"salvor/internal/hold"
	"salvor/internal/hostpath"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// upgradeSteps are those at which an upgrade that fails can be killed, in order.
var upgradeSteps = []string{
	"upgrade-taken", "upgrade-halted", "upgrade-stopped", "start", "upgrade-failed", "upgrade-after", "place", "place-aside", "place-renamed", "upgrade-back",
}

// TestUpgradeFails is fault V16: two stacks get a version that migrates their
// databases, writes on and never becomes healthy, under constant writes. What the old
// version acknowledged up to its stop is there, on the old version, whatever salvord
// was doing when it was killed.
func TestUpgradeFails(t *testing.T) {
	s := scenario.Begin(t, usualFor)
	var collector oracle.Collector
	u := startUpgrading(t, s, &collector)
	u.change(t, u.images[0], u.images[1])
	t.Run("the new version fails", func(t *testing.T) { u.try(t, len(u.stacks), func() { u.refused(t) }) })
	steps := drawn(s, upgradeSteps[1:], 3)
	t.Run("killed one time after the other", func(t *testing.T) { u.try(t, 1, func() { u.killAtEach(t, steps) }) })
	t.Run("the commit is taken back", u.takeBack)
	if s.Full {
		for i, step := range upgradeSteps {
			t.Run("killed at "+step, func(t *testing.T) { u.killedAt(t, step, i%2 == 1) })
		}
	}
	for _, st := range u.stacks {
		if twice := collector.Forks(st.Name); len(twice) > 0 {
			t.Errorf("%s: rows %v were acknowledged twice", st.Name, twice)
		}
		s.Count("rows acknowledged", len(collector.Acks(st.Name)))
		s.Count("rows that the next version wrote", len(collector.Acks(st.Name+"-next")))
	}
	t.Log("proved: every row that the old version acknowledged up to its stop is there, and no stack stayed stopped")
}

// killedAt has one apply killed at a step. The daemon continues with it, or an apply.
func (u *upgrading) killedAt(t *testing.T, step string, byDaemon bool) {
	least := len(u.stacks)
	if byDaemon {
		least = 1 // it does not begin what was not begun
	}
	u.fail(t, least, func() {
		must(t, u.alpha.Hold(t.Context(), step))
		ended := u.applies(t)
		u.kill(t, step, "apply")
		if err := <-ended; err == nil {
			t.Error("the apply whose salvord was killed went well")
		}
		status := statusOf(t, u.w)
		for _, st := range u.stacks {
			u.notAsCommitted(t, status, st)
		}
		if byDaemon {
			u.daemonFinishes(t)
		} else {
			u.refused(t)
		}
	})
}

// killAtEach has an apply killed at the first step, and the daemon that continues with
// it at each of the others. salvord's next start finishes it.
func (u *upgrading) killAtEach(t *testing.T, steps []string) {
	t.Logf("killed at %s", strings.Join(steps, ", "))
	for _, step := range steps {
		must(t, u.alpha.Hold(t.Context(), step))
	}
	ended, salvord := u.applies(t), "apply"
	for _, step := range steps {
		u.kill(t, step, salvord)
		salvord = "agent"
	}
	if err := <-ended; err == nil {
		t.Error("the apply whose salvord was killed went well")
	}
	u.daemonFinishes(t)
}

// applies starts an apply, and returns where its end is reported.
func (u *upgrading) applies(t *testing.T) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := u.w.Salvor(t.Context(), nil, "apply")
		ended <- err
	}()
	return ended
}

// kill waits for a step and kills (-9) the salvord whose work has come to it.
func (u *upgrading) kill(t *testing.T, step, verb string) {
	t.Helper()
	must(t, u.alpha.Held(t.Context(), step))
	killVerb(t, u.Scenario, u.alpha, verb)
	exec(t, u.alpha, "rm -f "+hostpath.Default().Hold()+"/*"+hold.Reached) // the dead one's
	must(t, u.alpha.LetGo(t.Context(), step))
}

// startUpgrading has the guarded stacks write on one host, their health judged within
// seconds.
func startUpgrading(t *testing.T, s *scenario.Scenario, c *oracle.Collector) *upgrading {
	t.Helper()
	ctx := t.Context()
	w, err := world.New(ctx, s.Lab, world.Options{Log: testLog{t}})
	must(t, err)
	images, err := w.Images(ctx)
	must(t, err)
	stacks := guarded("alpha")
	if !s.Full { // a database in files takes half as long
		stacks[1] = world.Stack{Name: "diary", Store: "sqlite", Host: "alpha", Port: 8082, Every: "20ms", Size: 100}
	}
	u := &upgrading{Scenario: s, w: w, c: c, alpha: spare(t, w, "alpha"), stacks: stacks}
	_, err = w.Salvor(ctx, strings.NewReader("s3cret-of-the-blog"), "secret", "set", "blog/POSTGRES_PASSWORD")
	must(t, err)
	url := listen(t, s.Lab, c)
	for _, st := range u.stacks {
		must(t, w.Write("stacks/"+st.Name+"/compose.yaml", impatient(st.Compose(images, url))))
	}
	must(t, w.Commit(ctx, "the stacks"))
	_, err = w.Salvor(ctx, nil, "apply")
	must(t, err)
	u.next(t, images)
	return u
}

// finishLimit is what the daemon may take: its next round, the new version's try where
// it was cut before that, and the way back.
const finishLimit = 8 * time.Minute

// daemonFinishes waits until no stack has anything left to finish and all run.
func (u *upgrading) daemonFinishes(t *testing.T) {
	t.Helper()
	within(t, finishLimit, "the daemon finishes", func() error {
		left, err := u.alpha.Exec(t.Context(), "sh", "-c", `cd /var/lib/salvor; ls runs; grep -lE '"state":"(trying|back)"' attempts/*; :`)
		if err == nil && strings.TrimSpace(left) != "" {
			err = errors.New("left: " + strings.Join(strings.Fields(left), " "))
		}
		for _, st := range u.stacks {
			if err == nil {
				err = u.runsOld(t, st)
			}
		}
		return err
	})
}

// runsOld returns an error unless the old version of a stack runs.
func (u *upgrading) runsOld(t *testing.T, st world.Stack) error {
	out, err := u.alpha.Exec(t.Context(), "docker", "ps", "--format", "{{.Image}}", "--filter", "label=com.docker.compose.project="+st.Name, "--filter", "label=com.docker.compose.service=app")
	if err == nil && !strings.HasPrefix(strings.TrimSpace(out), u.images[0]) {
		err = fmt.Errorf("%s: %q runs, want %s", st.Name, strings.TrimSpace(out), u.images[0])
	}
	return err
}
