package agent

import (
	"context"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/project"
	"salvor/internal/stack"
)

// ownProjects returns a host's own projects as they are; none where the engine does not answer.
func ownProjects(ctx context.Context, stacks *stack.Host, asked []agentapi.OwnProject) ([]agentapi.ProjectState, error) {
	if len(asked) == 0 {
		return nil, nil
	}
	var names []string
	for _, p := range asked {
		names = append(names, p.Name)
	}
	seen, err := stacks.Observe(ctx, names...)
	if here.NoEngine(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []agentapi.ProjectState
	for i, s := range seen {
		rows, err := stacks.Rows(ctx, s)
		if err != nil {
			return nil, err
		}
		all = append(all, agentapi.ProjectState{OwnProject: agentapi.OwnProject{Name: s.Stack, Image: pinnedAs(asked[i].Image, s.Record.Images)}, Services: rows})
	}
	return all, nil
}

// pinnedAs returns the image that was deployed, with its digest, if it has the tag that is
// asked for; "" for none.
func pinnedAs(asked string, deployed map[string]string) string {
	for _, image := range deployed {
		if project.Lockable(image) && project.Tagged(image) == project.Tagged(asked) {
			return image
		}
	}
	return ""
}

// projectChanges are the host's own projects that come, go, or get another image.
func projectChanges(applied, want agentapi.Host) []agentapi.Change {
	var all []agentapi.Change
	for _, p := range want.Projects {
		now, was := project.Tagged(p.Image), project.Tagged(applied.Image(p.Name))
		switch {
		case was == "":
			all = append(all, agentapi.Change{ID: "project " + p.Name, Action: "+", Cause: now})
		case was != now:
			all = append(all, agentapi.Change{ID: "project " + p.Name, Action: "~", Cause: was + " → " + now})
		}
	}
	for _, p := range applied.Projects {
		if want.Image(p.Name) == "" {
			all = append(all, agentapi.Change{ID: "project " + p.Name, Action: "-", Cause: "nothing needs it any more"})
		}
	}
	return all
}
