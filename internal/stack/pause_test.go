package stack_test

import (
	"net/http"
	"strings"
	"testing"

	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/stack"
	"salvor/internal/stack/stacktest"
)

func oneService(image string) project.Project {
	return project.Project{
		Dir: "/var/lib/salvor/stacks/web", Compose: []byte("services:\n  app:\n    image: " + image + "\n"),
		Services: []project.Service{{Name: "app", Image: image}}, Hash: "sha256:" + image,
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

// TestAResumedContainerIsAskedForAgain is of V2's and V21's kind: an engine that
// hears of the pause only after the resume calls the container paused for a moment,
// and that is not a failure of the snapshot.
func TestAResumedContainerIsAskedForAgain(t *testing.T) {
	engine := stacktest.New()
	h := stack.New(engine)
	defer h.Close()
	id := engine.Add("notes", "app", "paused")
	resumed, looked := 0, 0
	engine.OnRequest = func(method, path string) int {
		switch {
		case strings.HasSuffix(path, "/unpause"):
			resumed++
		case method == http.MethodGet && resumed == 1:
			if looked++; looked == 1 {
				engine.Set(id, "paused") // the late event
			}
		}
		return 0
	}
	if err := h.Unpause(t.Context(), id); err != nil || engine.State(id) != "running" {
		t.Errorf("%s, %v", engine.State(id), err)
	}
}
