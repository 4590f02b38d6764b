package stack_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/stack"
	"salvor/internal/stack/stacktest"
)

// TestAProjectOfAnotherName is issue 14, 2: `traefik` runs on three hosts, as three stacks.
func TestAProjectOfAnotherName(t *testing.T) {
	engine := stacktest.New()
	h := stack.New(engine)
	defer h.Close()
	other := engine.Add("web", "app", "running") // a project that is called as the stack is
	d := stack.Deployment{Stack: "web", Epoch: 1, Project: oneService("reg/app:1")}
	d.Project.Name = "traefik"
	if _, err := h.Deploy(t.Context(), d, progress.Discard()); err != nil {
		t.Fatal(err)
	}
	if c := engine.Containers()[1]; c.Project != "traefik" || c.State != "running" {
		t.Fatalf("deployed %+v", c)
	}
	again := stack.New(engine) // knows it from the host alone
	defer again.Close()
	seen, err := again.Observe(t.Context(), "web")
	if err != nil || !seen[0].Deployed || len(seen[0].Containers) != 1 || seen[0].Containers[0].Project != "traefik" {
		t.Errorf("seen %+v, %v", seen, err)
	}
	for _, act := range []func() error{
		func() error {
			return again.Exec(t.Context(), "web", stack.Session{Service: "app", Argv: []string{"true"}})
		},
		func() error { return stack.Named(again, "web").Restart(t.Context(), nil, nil, progress.Discard()) },
		func() error { return again.Stop(t.Context(), "web") },
	} {
		if err := act(); err != nil {
			t.Error(err)
		}
	}
	if engine.State(other) != "running" || engine.Containers()[1].State != "exited" {
		t.Errorf("stopped %+v", engine.Containers())
	}
	for _, call := range engine.Calls() {
		if slices.Contains(call.Argv, "--project-name") && !strings.Contains(strings.Join(call.Argv, " "), "--project-name traefik ") {
			t.Errorf("ran %v", call.Argv)
		}
	}
}

func TestAProjectKeepsItsName(t *testing.T) {
	engine := stacktest.New()
	h := stack.New(engine)
	defer h.Close()
	d := stack.Deployment{Stack: "web", Epoch: 1, Project: oneService("reg/app:1")}
	if was, err := stack.Named(h, "web").Renamed(t.Context(), project.Project{Name: "traefik"}); was != "" || err != nil {
		t.Errorf("new, and it was %q, %v", was, err)
	}
	if _, err := h.Deploy(t.Context(), d, progress.Discard()); err != nil {
		t.Fatal(err)
	}
	d.Project.Name, d.Project.Hash = "traefik", "sha256:2"
	if _, err := h.Deploy(t.Context(), d, progress.Discard()); !errors.Is(err, stack.ErrRenamed) || !strings.Contains(fault.Hint(err), "x-salvor.project: web") {
		t.Errorf("%v, hint %s", err, fault.Hint(err))
	}
	if all := engine.Containers(); len(all) != 1 || all[0].State != "running" {
		t.Errorf("%+v", all)
	}
}

// TestAPlanLooksForTheNameThatIsWanted is of a stack that was never here.
func TestAPlanLooksForTheNameThatIsWanted(t *testing.T) {
	engine := stacktest.New()
	h := stack.New(engine)
	defer h.Close()
	engine.Add("traefik", "app", "running")
	seen, err := stack.Wanting(h, map[string]string{"web": "traefik"}).Observe(t.Context(), "web")
	if err != nil || !seen[0].Running() {
		t.Errorf("%+v, %v", seen, err)
	}
	if seen, err := h.Observe(t.Context(), "web"); err != nil || seen[0].Running() {
		t.Errorf("noted: %+v, %v", seen, err)
	}
}
