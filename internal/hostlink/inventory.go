package hostlink

import (
	"path"
	"regexp"
	"slices"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/terminal"
)

// projectName is what Compose takes as a project's name.
var projectName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

// inventory keeps the projects and files that can be: they become files in Git.
func (a *answer) inventory(r *agentapi.Inventory) {
	r.Projects = slices.DeleteFunc(r.Projects, func(p agentapi.RunningProject) bool {
		odd := !projectName.MatchString(p.Name) || p.Dir != "" && !absolute(p.Dir)
		if odd {
			a.refuse("a project named %q in %q", p.Name, p.Dir)
		}
		return odd
	})
	r.Managers = slices.DeleteFunc(r.Managers, func(m agentapi.Manager) bool {
		odd := !absolute(m.Folder)
		if odd {
			a.refuse("the folder %q of %q", m.Folder, m.Name)
		}
		return odd
	})
	for i := range r.Projects {
		p := &r.Projects[i]
		p.Files = slices.DeleteFunc(p.Files, func(f agentapi.FoundFile) bool { return a.oddFile(p.Name, f) })
		p.Mounts = slices.DeleteFunc(p.Mounts, func(m agentapi.FoundMount) bool { return a.oddMount(p.Name, m) })
		for k, text := range p.Unknown {
			p.Unknown[k] = terminal.Line(text) // which becomes a comment of a file
		}
		a.runningServices(p)
	}
}

func (a *answer) oddFile(project string, f agentapi.FoundFile) bool {
	kinds := []agentapi.FileKind{agentapi.FileCompose, agentapi.FileEnv, agentapi.FileSecret, agentapi.FilePlain}
	modes := []uint32{0, 0o644, 0o755}
	odd := !absolute(f.Path) || !slices.Contains(modes, f.Mode) || !slices.Contains(kinds, f.Kind)
	if odd {
		a.refuse("the file %q of project %s", f.Path, project)
	}
	return odd
}

func (a *answer) oddMount(project string, m agentapi.FoundMount) bool {
	odd := m.Bytes < 0 || m.Files < 0 || m.Source != "" && !absolute(m.Source)
	if odd {
		a.refuse("the mount %q of project %s", m.Source, project)
	}
	return odd
}

func (a *answer) runningServices(p *agentapi.RunningProject) {
	for i, s := range p.Services {
		if a.late(s.Since) {
			a.refuse("service %s of project %s runs since %s", s.Name, p.Name, s.Since.Format(time.RFC3339))
			p.Services[i].Since = time.Time{}
		}
	}
}

func absolute(p string) bool { return path.IsAbs(p) && path.Clean(p) == p }
