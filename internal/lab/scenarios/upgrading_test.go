package scenarios

import (
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// An upgrading is a fleet whose stacks get a version that migrates their
// databases, writes on, and never becomes healthy.
type upgrading struct {
	*scenario.Scenario
	w      *world.World
	c      *oracle.Collector
	alpha  *lab.Host
	stacks []world.Stack
	images [2]string // of the version that works, and of the next one
}

// impatient has an application's health judged within seconds. Its database keeps
// its patience.
func impatient(compose string) string {
	app, db, found := strings.Cut(compose, "  db:\n")
	app = strings.NewReplacer("interval: 30s", "interval: 1s", "start_period: 60s", "start_period: 2s", "retries: 60", "retries: 4").Replace(app)
	if !found {
		return app
	}
	return app + "  db:\n" + db
}

// next has the next version's image in the registry.
func (u *upgrading) next(t *testing.T, images world.Images) {
	t.Helper()
	image, err := u.Image(t.Context(), lab.WriterNext)
	must(t, err)
	u.images[0] = images.Writer
	u.images[1], err = u.w.Registry.PushAs(t.Context(), image, "writer:next")
	must(t, err)
}

// fail commits the next version, has it fail and judges what runs afterwards.
// Then the commit is taken back.
func (u *upgrading) fail(t *testing.T, apply func()) {
	ctx, began := t.Context(), time.Now()
	for _, st := range u.stacks {
		writesAfter(t, u.c, st.Name, began)
	}
	u.change(t, u.images[0], u.images[1])
	apply()
	back := time.Now()
	for _, st := range u.stacks {
		writesAfter(t, u.c, st.Name, back)
		if len(u.c.Only(func(a oracle.Ack) bool { return a.At.After(began) }).Acks(st.Name+"-next")) == 0 {
			t.Errorf("%s: the next version wrote nothing, so nothing was shown", st.Name)
		}
		holdsAll(t, u.Scenario, u.c, u.alpha, st)
		t.Logf("%s: %s without the old version", st.Name, u.c.LongestGap(st.Name, began).Round(time.Second/10))
	}
	status, err := u.w.Salvor(ctx, nil, "status")
	t.Log(err)
	for _, st := range u.stacks {
		if !strings.Contains(status, "/"+st.Name) {
			t.Errorf("status has no finding about %s:\n%s", st.Name, status)
		}
	}
	u.change(t, u.images[1], u.images[0])
	_, err = u.w.Salvor(ctx, nil, "apply")
	must(t, err)
	settled(t, u.w)
	for _, st := range u.stacks {
		holdsAll(t, u.Scenario, u.c, u.alpha, st)
	}
	u.Count("upgrades that failed", len(u.stacks))
}

func (u *upgrading) change(t *testing.T, from, to string) {
	t.Helper()
	for _, st := range u.stacks {
		file := "stacks/" + st.Name + "/compose.yaml"
		content, err := u.w.Read(file)
		must(t, err)
		must(t, u.w.Write(file, strings.Replace(content, from, to, 1)))
	}
	must(t, u.w.Commit(t.Context(), "another version"))
}

// refused runs an apply whose new version fails.
func (u *upgrading) refused(t *testing.T) {
	t.Helper()
	out, err := applied(t, u.w)
	if err == nil {
		t.Errorf("the apply of a version that is never healthy went well:\n%s", out)
	}
}
