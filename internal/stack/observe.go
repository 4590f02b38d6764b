package stack

import (
	"context"
	"maps"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/docker"
	"salvor/internal/project"
)

// A State is what a host knows of one stack.
type State struct {
	Stack      string
	Record     Record // zero when never deployed
	Deployed   bool
	Containers []docker.Container
	Missing    []string // services that ought to run and don't, sorted
	Ungated    []string // services with a container without a gate, sorted
	Drifted    []string // services that were changed by something other than Salvor, sorted
}

// Observe returns the state of stacks, in the order asked for, with one call to
// the engine for all of them. Nothing is written.
func (h *Host) Observe(ctx context.Context, stacks ...string) ([]State, error) {
	all, err := h.engine.Containers(ctx, "")
	if err != nil {
		return nil, err
	}
	var out []State
	for _, name := range stacks {
		s := State{Stack: name}
		if s.Record, s.Deployed, err = h.Deployed(ctx, name); err != nil {
			return nil, err
		}
		project, err := h.ProjectName(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, c := range all {
			if c.Project == project {
				s.Containers = append(s.Containers, c)
			}
		}
		s.compare()
		out = append(out, s)
	}
	return out, nil
}

// Untouched reports whether Deploy would leave the stack as it is.
func (s State) Untouched(d Deployment) bool {
	return s.Deployed && s.Record.Covers(d) && s.Record.runs(s.Containers)
}

// Running reports whether a container of the stack runs.
func (s State) Running() bool {
	return slices.ContainsFunc(s.Containers, func(c docker.Container) bool {
		return c.State == "running" || c.State == "paused" || c.State == "restarting"
	})
}

// RunsUngated returns the services with a running container that Docker itself may start.
func (s State) RunsUngated() []string {
	return s.ungated(func(c docker.Container) bool { return c.State == "running" })
}

func (s State) ungated(of func(docker.Container) bool) []string {
	all := map[string]bool{}
	for _, c := range s.Containers {
		if !Gated(c) && !c.OneOff && of(c) {
			all[c.Service] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func (s *State) compare() {
	for name, want := range s.Record.Services {
		running, drifted := count(s.Containers, name, want.Hash)
		if running < want.Running {
			s.Missing = append(s.Missing, name)
		}
		if drifted {
			s.Drifted = append(s.Drifted, name)
		}
	}
	s.Ungated = s.ungated(func(docker.Container) bool { return true })
	slices.Sort(s.Missing)
	slices.Sort(s.Drifted)
}

// Covers reports whether a deployment asks for what was deployed already.
func (r Record) Covers(d Deployment) bool {
	for _, s := range d.Project.Services {
		if ref := s.Reference(d.Images); project.Digested(ref) && !s.Idle && !s.Build && r.Images[s.Name] != ref {
			return false
		}
	}
	return r.Hash == d.Project.Hash && r.Dir == d.Project.Dir
}

// pins is what the lock says, and for services that it does not know yet what this
// host ran: a tag that moved is not a reason to run something else.
func (r Record) pins(d Deployment) map[string]string {
	pins := maps.Clone(r.Images)
	if pins == nil {
		pins = map[string]string{}
	}
	maps.Copy(pins, d.Images)
	return pins
}

// runs reports whether everything expected runs, as it was made.
func (r Record) runs(containers []docker.Container) bool {
	for name, want := range r.Services {
		if running, drifted := count(containers, name, want.Hash); running != want.Running || drifted {
			return false
		}
	}
	return true
}

func count(containers []docker.Container, service, hash string) (running int, drifted bool) {
	for _, c := range containers {
		if c.Service != service || c.OneOff {
			continue
		}
		if c.State == "running" || c.State == "paused" { // a snapshot pauses for a moment
			running++
		}
		drifted = drifted || c.Hash != hash
	}
	return running, drifted
}

// expected notes how a healthy project looks.
func expected(p project.Project, containers []docker.Container) map[string]Expected {
	out := map[string]Expected{}
	for _, s := range p.Services {
		if s.Idle {
			continue
		}
		e := Expected{}
		for _, c := range containers {
			if c.Service == s.Name && !c.OneOff {
				e.Hash = c.Hash
			}
		}
		e.Running, _ = count(containers, s.Name, e.Hash)
		out[s.Name] = e
	}
	return out
}

// Rows returns the stack's services for people: state, health and since when.
func (h *Host) Rows(ctx context.Context, s State) ([]agentapi.ServiceRow, error) {
	var rows []agentapi.ServiceRow
	for _, c := range s.Containers {
		if c.OneOff {
			continue
		}
		about, err := h.engine.Inspect(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		rows = append(rows, s.row(c, about))
	}
	for _, name := range s.Missing {
		if !slices.ContainsFunc(rows, func(r agentapi.ServiceRow) bool { return r.Name == name }) {
			rows = append(rows, agentapi.ServiceRow{Name: name, State: "missing"})
		}
	}
	return rows, nil
}

func (s State) row(c docker.Container, about docker.Detail) agentapi.ServiceRow {
	row := agentapi.ServiceRow{Name: c.Service, Container: c.Name, Image: c.Image, State: c.State, Health: c.Health, Since: about.Started,
		Restarts: about.Restarts, Ports: c.Ports, Error: about.Error, Exit: c.Exit, Gated: Gated(c), Done: s.done(c)}
	if c.State == "exited" || c.State == "dead" {
		row.Since = about.Finished
	}
	return row
}

// done reports whether a container ended well and none of its service was running
// when the stack was last well: it has done what it is there for.
func (s State) done(c docker.Container) bool {
	want, known := s.Record.Services[c.Service]
	return known && want.Running == 0 && c.State == "exited" && c.Exit == 0
}

// Uncovered returns the paths that an image declares as VOLUME and that nothing
// of the Compose file is mounted at: the engine gives each an anonymous volume,
// which no snapshot has.
func Uncovered(s project.Service, imageVolumes []string) []string {
	var out []string
	for _, v := range imageVolumes {
		if !slices.Contains(s.Mounts, v) {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}
