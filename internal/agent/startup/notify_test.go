package startup

import (
	"slices"
	"strings"
	"testing"

	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/delivery"
	"salvor/internal/machine/machinetest"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/stack"
)

// notified runs the notification of a stack's only service, and returns what was run
// on Docker, and whether the service was notified by its policy.
func notified(t *testing.T, s project.Service, pending delivery.Report, result stack.Result) ([]string, bool) {
	t.Helper()
	g := heretest.NewGuarded(t, "alpha", t.TempDir(), "", 1)
	g.Engine.Set(heretest.Notes, true)
	g.Spec.Stacks[0].Project.Services = []project.Service{s}
	start := New(keeper.New(g.Host), g.Spec, progress.Discard()).On(g.At(g.Spec, g.Spec.Stacks[0]))
	by, err := start.notifyServices(t.Context(), pending, result)
	if err != nil {
		t.Fatal(err)
	}
	var run []string
	for _, c := range g.Machine.(*machinetest.Fake).Calls() {
		run = append(run, strings.Join(c.Argv, " "))
	}
	return slices.DeleteFunc(run, func(argv string) bool { return !strings.HasPrefix(argv, "docker") }), by
}

// TestServicesAreNotifiedInTheirOwnStack: the command runs in the service of the
// stack, whatever both are called, before the service's own policy.
func TestServicesAreNotifiedInTheirOwnStack(t *testing.T) {
	t.Parallel()
	app := project.Service{Name: "app", OnRotate: []string{"reload", "now"}, OnChange: "signal:HUP"}
	changed := delivery.Report{Services: []string{"app"}}
	command, signal := "docker compose --project-name notes exec --no-TTY app reload now", "docker kill --signal HUP notes"
	for name, c := range map[string]struct {
		pending delivery.Report
		result  stack.Result
		want    []string
		by      bool
	}{
		"changed":             {changed, stack.Result{}, []string{command, signal}, true},
		"recreated by itself": {changed, stack.Result{Recreated: []string{"app"}}, []string{command}, false},
		"nothing changed":     {delivery.Report{}, stack.Result{}, nil, false},
		"another's":           {delivery.Report{Services: []string{"db"}}, stack.Result{}, nil, false},
	} {
		run, by := notified(t, app, c.pending, c.result)
		if !slices.Equal(run, c.want) || by != c.by {
			t.Errorf("%s: %q, %v; want %q, %v", name, run, by, c.want, c.by)
		}
	}
}

// TestAnIdleServiceIsNotNotified: it starts with what is delivered then.
func TestAnIdleServiceIsNotNotified(t *testing.T) {
	t.Parallel()
	run, by := notified(t, project.Service{Name: "app", Idle: true, OnRotate: []string{"reload"}}, delivery.Report{Services: []string{"app"}}, stack.Result{})
	if len(run) > 0 || by {
		t.Errorf("%q, %v", run, by)
	}
}
