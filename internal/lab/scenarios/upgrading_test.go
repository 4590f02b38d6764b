package scenarios

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"salvor/internal/finding"
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
	since  time.Time // before it, rows may have been given up on purpose
}

// impatient has an application's health judged within seconds. Its database keeps
// its patience.
func impatient(compose string) string {
	app, db, found := strings.Cut(compose, "  db:\n")
	app = strings.NewReplacer("interval: 30s", "interval: 1s", "timeout: 5s", "timeout: 30s", "start_period: 60s", "start_period: 2s", "retries: 60", "retries: 4").Replace(app)
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

// fail commits the next version, has it fail, and takes the commit back.
func (u *upgrading) fail(t *testing.T, least int, apply func()) {
	u.change(t, u.images[0], u.images[1])
	u.try(t, least, apply)
	u.takeBack(t)
}

// try has the next version, which is committed, fail on so many stacks at least, and
// judges what runs afterwards.
func (u *upgrading) try(t *testing.T, least int, apply func()) {
	began, tried := time.Now(), 0
	for _, st := range u.stacks {
		writesAfter(t, u.c, st.Name, began)
	}
	apply()
	back := time.Now()
	status := statusOf(t, u.w)
	for _, st := range u.stacks {
		writesAfter(t, u.c, st.Name, back)
		u.holdsAll(t, st)
		finding := u.notAsCommitted(t, status, st)
		if len(u.c.Only(func(a oracle.Ack) bool { return a.At.After(began) }).Acks(st.Name+"-next")) > 0 {
			tried++
			u.named(t, st, finding)
		}
		t.Logf("%s: %s without the old version", st.Name, u.c.LongestGap(st.Name, began).Round(time.Second/10))
	}
	if tried < least {
		t.Errorf("the next version wrote on %d stacks, want %d: nothing was shown", tried, least)
	}
	u.Count("upgrades that failed", tried)
}

func (u *upgrading) holdsAll(t *testing.T, st world.Stack) {
	t.Helper()
	holdsAll(t, u.Scenario, u.c.Only(func(a oracle.Ack) bool { return a.At.After(u.since) }), u.alpha, st)
}

// takeBack takes the commit of the next version back: then nothing is left to do or to
// say.
func (u *upgrading) takeBack(t *testing.T) {
	u.change(t, u.images[1], u.images[0])
	_, err := u.w.Salvor(t.Context(), nil, "apply")
	must(t, err)
	settled(t, u.w)
	if status := statusOf(t, u.w); strings.Contains(status, string(finding.NotAsCommitted)) {
		t.Errorf("what runs is what is committed:\n%s", status)
	}
	for _, st := range u.stacks {
		u.holdsAll(t, st)
	}
}

// notAsCommitted returns what status says of a stack that runs another version than
// is committed.
func (u *upgrading) notAsCommitted(t *testing.T, status string, st world.Stack) string {
	t.Helper()
	for line := range strings.Lines(status) {
		if strings.Contains(line, string(finding.NotAsCommitted)) && strings.Contains(line, u.alpha.Name+"/"+st.Name) {
			return line
		}
	}
	t.Errorf("status has no finding about %s:\n%s", st.Name, status)
	return ""
}

var nextWrote = regexp.MustCompile(`the data written by the new version is snapshot ([0-9a-f]{8})`)

// named checks that a finding names the snapshot of what the next version wrote, and
// that there is one.
func (u *upgrading) named(t *testing.T, st world.Stack, finding string) {
	t.Helper()
	name := nextWrote.FindStringSubmatch(finding)
	if name == nil {
		t.Errorf("%s: no snapshot is named: %s", st.Name, finding)
		return
	}
	list, err := u.w.Salvor(t.Context(), nil, "snapshot", "ls", st.Name)
	if err != nil || !strings.Contains(list, name[1]) {
		t.Errorf("%s: snapshot %s is not listed: %v\n%s", st.Name, name[1], err, list)
	}
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
	out, err := u.w.Salvor(t.Context(), nil, "apply")
	if err == nil {
		t.Errorf("the apply of a version that is never healthy went well:\n%s", out)
	}
}
