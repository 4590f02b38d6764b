package here_test

import (
	"context"
	"errors"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/stack"
	"salvor/internal/stack/stacktest"
)

// deployed is a host on whose engine the stack notes was deployed and runs.
func deployed(t *testing.T) (*here.Host, *stacktest.Engine, *here.Stack) {
	t.Helper()
	h, engine := bare(t), stacktest.New()
	h.Stacks = stack.New(engine)
	t.Cleanup(h.Stacks.Close)
	st := agentapi.Stack{Name: "notes", Epoch: 1, Project: project.Project{
		Dir: hostpath.Default().Project("notes"), Compose: []byte("services:\n  app:\n    image: app:1\n"), Hash: "sha256:1", Services: []project.Service{{Name: "app", Image: "app:1"}},
	}}
	s := h.At(agentapi.Host{Name: "alpha", Commit: "c1", Stacks: []agentapi.Stack{st}}, st)
	if err := h.SaveSpec(s.Spec); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Stacks.Deploy(t.Context(), s.Deployment(), progress.Discard()); err != nil {
		t.Fatal(err)
	}
	return h, engine, s
}

// set gives every container a state.
func set(engine *stacktest.Engine, state string) {
	for _, c := range engine.Containers() {
		engine.Set(c.ID, state)
	}
}

// TestARunIsNotedWhileItWorks: on a stack that ran when it began. The note stays where the
// run was interrupted and left the stack stopped.
func TestARunIsNotedWhileItWorks(t *testing.T) {
	t.Parallel()
	failed := errors.New("no room")
	for name, c := range map[string]struct {
		before, after string // the state of the containers
		interrupted   bool
		left          bool // by an earlier run
		err           error
		noted, stays  bool
	}{
		"it goes well":                    {"running", "running", false, false, nil, true, false},
		"it fails":                        {"running", "exited", false, false, failed, true, false},
		"interrupted, stopped":            {"running", "exited", true, false, failed, true, true},
		"interrupted, runs":               {"running", "running", true, false, failed, true, false},
		"nothing ran":                     {"exited", "exited", true, false, failed, false, false},
		"an earlier one left it, it goes": {"exited", "running", false, true, nil, true, false},
		"an earlier one left it, stops":   {"exited", "exited", false, true, nil, true, false},
		"an earlier one left it, failed":  {"exited", "exited", false, true, failed, true, true},
		"an earlier one left it, runs":    {"exited", "running", false, true, failed, true, false},
	} {
		h, engine, _ := deployed(t)
		ctx, cancel := context.WithCancel(t.Context())
		set(engine, c.before)
		if c.left {
			if err := h.NoteRun("notes", "release"); err != nil {
				t.Fatal(err)
			}
		}
		err := h.During(ctx, "notes", "deploy", func() error {
			if (h.RunNote("notes").What != "") != c.noted {
				t.Errorf("%s: while it works: %+v", name, h.RunNote("notes"))
			}
			set(engine, c.after)
			if c.interrupted {
				cancel()
			}
			return c.err
		})
		cancel()
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		// who is interrupted leaves the note as well where nothing ran before
		if stays := h.RunNote("notes").What != ""; stays != c.stays {
			t.Errorf("%s: noted afterwards: %v", name, stays)
		}
	}
}

func TestRunsWhole(t *testing.T) {
	t.Parallel()
	h, engine, _ := deployed(t)
	if !h.RunsWhole(t.Context(), "notes") || h.RunsWhole(t.Context(), "site") {
		t.Error("what was deployed does not run, or what was not does")
	}
	for _, state := range []string{"exited", "created"} {
		set(engine, state)
		if h.RunsWhole(t.Context(), "notes") {
			t.Errorf("it runs, %s", state)
		}
	}
	set(engine, "running")
	engine.OnRequest = func(string, string) int { return 500 }
	if h.RunsWhole(t.Context(), "notes") {
		t.Error("an engine that does not answer says that it runs")
	}
}

// TestPendingCommit: the one that was to be deployed last, where another one runs.
func TestPendingCommit(t *testing.T) {
	t.Parallel()
	h, _, s := deployed(t)
	pending := func(change func(st *agentapi.Stack)) string {
		t.Helper()
		spec := s.Spec
		st := s.Stack
		change(&st)
		spec.Commit, spec.Stacks = "c2", []agentapi.Stack{st}
		if err := h.SaveSpec(spec); err != nil {
			t.Fatal(err)
		}
		seen, err := h.Stacks.Observe(t.Context(), "notes")
		if err != nil {
			t.Fatal(err)
		}
		return h.PendingCommit("notes", seen[0])
	}
	other := func(st *agentapi.Stack) { st.Project.Hash = "sha256:2" }
	for name, c := range map[string]struct {
		change func(st *agentapi.Stack)
		want   string
	}{
		"the same":          {func(*agentapi.Stack) {}, ""},
		"another":           {other, "c2"},
		"kept":              {func(st *agentapi.Stack) { other(st); st.Kept = true }, ""},
		"declared stopped":  {func(st *agentapi.Stack) { other(st); st.Stopped = true }, ""},
		"no longer on here": {func(st *agentapi.Stack) { st.Name = "site" }, ""},
	} {
		if got := pending(c.change); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
