package hostlink

import (
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/terminal"
)

// projectStates keeps the host's own projects, with images that the lock may learn.
func (a *answer) projectStates(all []agentapi.ProjectState) []agentapi.ProjectState {
	return slices.DeleteFunc(all, func(p agentapi.ProjectState) bool {
		kept := a.projects([]agentapi.OwnProject{p.OwnProject})
		if len(kept) > 0 {
			a.rows(p.Services)
		}
		return len(kept) == 0
	})
}

// projects keeps what can be a host's own project. The image has to be of the version that was
// asked for; a question that names none has no use for it, and an older version is none to learn.
func (a *answer) projects(all []agentapi.OwnProject) []agentapi.OwnProject {
	return slices.DeleteFunc(all, func(p agentapi.OwnProject) bool {
		asked, is := a.own[p.Name]
		odd := !strings.HasPrefix(p.Name, fleet.OwnProjectPrefix) || !fleet.IsProjectName(p.Name) || p.Image != "" && !reference.MatchString(p.Image) ||
			is && p.Image != "" && project.Tagged(p.Image) != project.Tagged(asked)
		if odd {
			a.refuse("the host's own project %s of image %s", p.Name, p.Image)
		}
		return odd
	})
}

// guarded keeps names that fit on a line: they are compared with routes.
func (a *answer) guarded(all []string) []string {
	return slices.DeleteFunc(all, func(key string) bool {
		odd := key == "" || terminal.Line(key) != key
		if odd {
			a.refuse("the hostname %s", key)
		}
		return odd
	})
}

// opens reports whether a change that takes a hostname's protection away names another
// hostname than its own.
func opens(c agentapi.Change) bool {
	return c.Opens != "" && c.ID != string(agentapi.ChangeRoute)+" "+c.Opens
}
