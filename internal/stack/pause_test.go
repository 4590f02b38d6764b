package stack_test

import (
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/progress"
	"salvor/internal/stack"
	"salvor/internal/stack/stacktest"
)

func oneService(image string) agentapi.Project {
	return agentapi.Project{
		Dir: "/var/lib/salvor/stacks/web", Compose: []byte("services:\n  app:\n    image: " + image + "\n"),
		Services: []agentapi.Service{{Name: "app", Image: image}}, Hash: "sha256:" + image,
	}
}

// TestDeployUnpauses is fault V2, its second half: an apply on a paused container
// failed with "cannot start a paused container".
func TestDeployUnpauses(t *testing.T) {
	engine := stacktest.New()
	h := stack.New(engine)
	defer h.Close()
	d := stack.Deployment{Stack: "web", Epoch: 1, Project: oneService("reg/app:1")}
	if _, err := h.Deploy(t.Context(), d, progress.Discard()); err != nil {
		t.Fatal(err)
	}
	id := engine.Containers()[0].ID
	engine.Set(id, "paused")
	d.Project.Hash += ", and another line"
	if _, err := h.Deploy(t.Context(), d, progress.Discard()); err != nil || engine.State(id) != "running" {
		t.Errorf("%s, %v", engine.State(id), err)
	}
	engine.Set(id, "paused")
	if err := h.Stop(t.Context(), "web"); err != nil || engine.State(id) != "exited" {
		t.Errorf("stopped while paused: %s, %v", engine.State(id), err)
	}
}
