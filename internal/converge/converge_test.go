package converge_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/converge"
	"salvor/internal/machine"
	"salvor/internal/machine/debiantest"
	"salvor/internal/machine/observe"
	"salvor/internal/progress"
	"salvor/internal/resource"
)

var update = flag.Bool("update", false, "write golden files")

// A switchboard is a world of switches for scripted resources.
type switchboard struct {
	mu  sync.Mutex
	on  map[string]bool
	log []string
}

func (b *switchboard) isOn(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.on[id]
}

func (b *switchboard) turnOn(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.on[id] = true
	b.log = append(b.log, id)
}

// A light is a resource that is right when its switch is on.
type light struct {
	id       string
	links    converge.Links
	board    *switchboard
	err      error // of Apply
	diffErr  error
	destroys string
	takes    time.Duration
}

func (l light) ID() string            { return l.id }
func (l light) Links() converge.Links { return l.links }

func (l light) Diff(context.Context, *observe.Host) (*converge.Change, error) {
	if l.diffErr != nil || l.board.isOn(l.id) {
		return nil, l.diffErr
	}
	return &converge.Change{Action: converge.Makes, Cause: "is off", Destroys: l.destroys, Apply: func(ctx context.Context, say func(string)) error {
		if l.err != nil {
			return l.err
		}
		select {
		case <-time.After(l.takes):
			l.board.turnOn(l.id)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}, nil
}

func newBoard() *switchboard { return &switchboard{on: map[string]bool{}} }

func mustPlan(t *testing.T, resources ...converge.Resource) *converge.Plan {
	t.Helper()
	p, err := converge.NewPlan(t.Context(), debiantest.New(), resources)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func silent() progress.Scope { return progress.Scope{Sink: progress.Discard()} }

func TestPlanRendering(t *testing.T) {
	h := debiantest.New()
	h.Available["nginx"] = debiantest.Package{Version: "1.26", Unit: "nginx.service"}
	h.Put("/etc/motd", "bye\n", 0o600)
	p, err := converge.NewPlan(t.Context(), h, []converge.Resource{
		resource.Unit{Name: "nginx.service", Boot: resource.Enabled, Run: resource.Running, Needs: []string{"packages web"}},
		resource.Packages{Name: "web", List: []resource.Package{{Name: "nginx", Min: "1.20"}}},
		resource.File{Path: "/etc/motd", Content: []byte("hello\n"), Mode: 0o644, Owner: "app"},
		resource.User{Name: "app"},
		resource.Command{Name: "wipe the cache", Guard: []string{"test", "-e", "/var/clean"}, Argv: []string{"wipe"}, Cause: "the cache is dirty", Destroys: "/var/cache/app"},
	})
	if err != nil {
		t.Fatal(err)
	}
	golden := "testdata/plan.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(p.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), p.String()); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestPlanOrder(t *testing.T) {
	b := newBoard()
	on := light{id: "on", board: b, links: converge.Links{Needs: []string{"last"}}}
	b.on["on"] = true
	p := mustPlan(t,
		light{id: "first", board: b, links: converge.Links{Needs: []string{"on"}, After: []string{"nobody declares this"}}},
		on,
		light{id: "last", board: b},
	)
	var ids []string
	for _, c := range p.Changes {
		ids = append(ids, c.ID)
	}
	if diff := cmp.Diff([]string{"last", "first"}, ids); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if _, err := p.Apply(t.Context(), silent()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"last", "first"}, b.log); diff != "" {
		t.Errorf("applied through a resource that was right (-want +got):\n%s", diff)
	}
}

func TestPlanRefuses(t *testing.T) {
	b := newBoard()
	needs := func(ids ...string) converge.Links { return converge.Links{Needs: ids} }
	tests := map[string]struct {
		resources []converge.Resource
		want      string
	}{
		"a cycle":         {[]converge.Resource{light{id: "a", board: b, links: needs("b")}, light{id: "b", board: b, links: needs("a")}}, "resources need each other: a -> b -> a"},
		"an unknown need": {[]converge.Resource{light{id: "a", board: b, links: needs("ghost")}}, "a needs ghost, which is not declared"},
		"one id twice":    {[]converge.Resource{light{id: "a", board: b}, light{id: "a", board: b}}, "a is declared twice"},
		"what can't be observed": {[]converge.Resource{light{id: "a", board: b, diffErr: errors.New("disk on fire")}, light{id: "b", board: b, diffErr: errors.New("smoke")}},
			"a: disk on fire\nb: smoke"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := converge.NewPlan(t.Context(), debiantest.New(), tc.resources)
			if err == nil || err.Error() != tc.want {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	b := newBoard()
	one, two := mustPlan(t, light{id: "a", board: b}), mustPlan(t, light{id: "a", board: b})
	if one.Fingerprint() != two.Fingerprint() {
		t.Error("two plans of one world have different fingerprints")
	}
	if other := mustPlan(t, light{id: "a", board: b, destroys: "everything"}); other.Fingerprint() == one.Fingerprint() {
		t.Error("what is destroyed is not in the fingerprint")
	}
}

func TestApplyFailureStopsDependantsOnly(t *testing.T) {
	b := newBoard()
	p := mustPlan(t,
		light{id: "broken", board: b, err: errors.New("no")},
		light{id: "dependant", board: b, links: converge.Links{Needs: []string{"broken"}}},
		light{id: "dependant's", board: b, links: converge.Links{Needs: []string{"dependant"}}},
		light{id: "independent", board: b},
	)
	outcomes, err := p.Apply(t.Context(), silent())
	if err == nil || err.Error() != "broken: no" {
		t.Errorf("error %v", err)
	}
	var got []string
	for _, o := range outcomes {
		got = append(got, strings.TrimSpace(o.Change.ID+" "+string(o.State)+" "+o.Text))
	}
	want := []string{"broken failed", "dependant skipped waits for broken", "dependant's skipped waits for dependant", "independent done"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func TestApplyRefusesAWorldThatMoved(t *testing.T) {
	tests := map[string]struct {
		move func(h *debiantest.Host)
	}{
		"somebody wrote other text": {func(h *debiantest.Host) { h.Put("/etc/motd", "mine\n", 0o644) }},
		"somebody removed it":       {func(h *debiantest.Host) { h.Remove("/etc/motd") }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h := debiantest.New()
			h.Put("/etc/motd", "bye\n", 0o644)
			p, err := converge.NewPlan(t.Context(), h, []converge.Resource{resource.File{Path: "/etc/motd", Content: []byte("hello\n"), Mode: 0o644}})
			if err != nil {
				t.Fatal(err)
			}
			tc.move(h)
			before := h.State()
			if _, err := p.Apply(t.Context(), silent()); !errors.Is(err, converge.ErrMoved) {
				t.Errorf("error %v, want ErrMoved", err)
			}
			if h.State() != before {
				t.Error("something was changed")
			}
		})
	}
}

// TestApplyLeavesWhatIsRightByNow: a stack that begins makes its folder while the host
// is still prepared; that failed the first apply of a host now and then.
func TestApplyLeavesWhatIsRightByNow(t *testing.T) {
	h := debiantest.New()
	p, err := converge.NewPlan(t.Context(), h, []converge.Resource{resource.File{Path: "/etc/motd", Content: []byte("hello\n"), Mode: 0o644}})
	if err != nil {
		t.Fatal(err)
	}
	h.Put("/etc/motd", "hello\n", 0o644)
	before := h.State()
	if _, err := p.Apply(t.Context(), silent()); err != nil || h.State() != before {
		t.Errorf("%v, changed %t", err, h.State() != before)
	}
}

// A resource whose danger shows only after another one was applied is not
// applied: the operator agreed to the plan, not to that.
func TestApplyDestroysNothingUnplanned(t *testing.T) {
	b := newBoard()
	p := mustPlan(t, light{id: "a", board: b}, trap{light{id: "b", board: b, links: converge.Links{Needs: []string{"a"}}}})
	if _, err := p.Apply(t.Context(), silent()); !errors.Is(err, converge.ErrMoved) {
		t.Errorf("error %v, want ErrMoved", err)
	}
	if b.isOn("b") {
		t.Error("it was applied")
	}
}

type trap struct{ light }

func (r trap) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	if r.board.isOn("a") {
		r.destroys = "the photos"
	}
	return r.light.Diff(ctx, h)
}

func TestApplyOverlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		var resources []converge.Resource
		for _, id := range []string{"a", "b", "c", "d"} {
			resources = append(resources, light{id: id, board: b, takes: time.Minute})
		}
		resources = append(resources, light{id: "e", board: b, takes: time.Minute, links: converge.Links{Needs: []string{"a"}}})
		p := mustPlan(t, resources...)
		began := time.Now()
		if _, err := p.Apply(t.Context(), silent()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 2*time.Minute {
			t.Errorf("took %s, want 2m: four at once, then the one that needs the first", took)
		}
	})
}

func TestApplyInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		p := mustPlan(t,
			light{id: "quick", board: b, takes: time.Second},
			light{id: "slow", board: b, takes: time.Hour},
			light{id: "later", board: b, links: converge.Links{Needs: []string{"slow"}}},
		)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		outcomes, err := p.Apply(ctx, silent())
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if !b.isOn("quick") || b.isOn("later") || outcomes[2].State != progress.Skipped {
			t.Errorf("switches %v, outcomes %v", b.on, outcomes)
		}
	})
}

func TestUnitRestartsWhenItsFileChanges(t *testing.T) {
	h := debiantest.New()
	h.Put("/usr/lib/systemd/system/web.service", "[Service]\n", 0o644)
	h.Put("/etc/web.conf", "old\n", 0o644)
	web := resource.Unit{Name: "web.service", Run: resource.Running, RestartOn: []string{"/etc/web.conf"}}
	h.Start("web.service")
	resources := []converge.Resource{web, resource.File{Path: "/etc/web.conf", Content: []byte("new\n"), Mode: 0o644}}
	p, err := converge.NewPlan(t.Context(), h, resources)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(p.String(), "~ unit web.service: file /etc/web.conf changes\n") {
		t.Errorf("the plan does not announce the restart:\n%s", p)
	}
	started := h.Started("web.service")
	if _, err := p.Apply(t.Context(), silent()); err != nil {
		t.Fatal(err)
	}
	if !h.Started("web.service").After(started) {
		t.Error("not restarted")
	}
}

// A run that ended between the file and the restart owes the restart.
func TestUnitRestartIsNotForgotten(t *testing.T) {
	h := debiantest.New()
	h.Put("/usr/lib/systemd/system/web.service", "[Service]\n", 0o644)
	h.Start("web.service")
	h.Put("/etc/web.conf", "new\n", 0o644)
	p, err := converge.NewPlan(t.Context(), h, []converge.Resource{
		resource.Unit{Name: "web.service", Run: resource.Running, RestartOn: []string{"/etc/web.conf"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "~ unit web.service: was started before /etc/web.conf changed\n"; p.String() != want {
		t.Errorf("plan %q, want %q", p, want)
	}
}

func TestObservationIsShared(t *testing.T) {
	h := &counting{Host: debiantest.New()}
	var resources []converge.Resource
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		resources = append(resources,
			resource.Unit{Name: name + ".service", Boot: resource.Enabled},
			resource.Directory{Path: "/srv-" + name, Mode: 0o755},
			resource.Packages{Name: name, List: []resource.Package{{Name: name}}})
	}
	if _, err := converge.NewPlan(t.Context(), h, resources); err != nil {
		t.Fatal(err)
	}
	programs := h.Calls()
	slices.Sort(programs)
	if len(programs) != 2 || !strings.HasPrefix(programs[0], "stat ") || !strings.HasPrefix(programs[1], "systemctl show ") {
		t.Errorf("programs run: %q, want one stat and one systemctl show", programs)
	}
	if h.reads != 2 {
		t.Errorf("%d files read, want dpkg's status, and a look for updates of it", h.reads)
	}
}

type counting struct {
	*debiantest.Host
	mu    sync.Mutex
	reads int
}

func (c *counting) ReadFile(ctx context.Context, path string) ([]byte, error) {
	c.mu.Lock()
	c.reads++
	c.mu.Unlock()
	return c.Host.ReadFile(ctx, path)
}

var _ machine.Machine = (*counting)(nil)
