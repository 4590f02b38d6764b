package deploy

import (
	"context"
	"maps"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fit"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// Misfits returns why stacks that next places on hosts do not fit there, by host, as far as
// was seen of these. It is about all stacks that come to a host, together.
func Misfits(ctx context.Context, s *Session, next fleet.Lock, seen map[string]Observation) map[string][]fit.Misfit {
	under := map[string]fleet.Lock{}
	for host := range seen {
		under[host] = next
	}
	all := map[string][]fit.Misfit{}
	for host, p := range Placings(ctx, s, under, seen) {
		if found := p.Misfits(); len(found) > 0 {
			all[host] = found
		}
	}
	return all
}

// Placings says what each host that was seen is to have under its lock. Those that could
// not be asked are left out.
func Placings(ctx context.Context, s *Session, under map[string]fleet.Lock, seen map[string]Observation) map[string]fit.Placing {
	all := map[string]fit.Placing{}
	restored := fleet.Lock{Stacks: map[string]fleet.Placement{}}
	for host, o := range seen {
		if o.Err != nil {
			continue
		}
		all[host] = placing(s, host, under[host], o)
		for _, st := range all[host].Comes {
			if restores(o, st.Name) {
				restored.Stacks[st.Name] = under[host].Stacks[st.Name]
			}
		}
	}
	sizes := sizesOf(ctx, s, restored)
	for host, p := range all {
		for i, st := range p.Comes {
			if restores(seen[host], st.Name) {
				p.Comes[i].Bytes = sizes[st.Name]
			}
		}
	}
	return all
}

func placing(s *Session, host string, next fleet.Lock, o Observation) fit.Placing {
	p := fit.Placing{Host: host, Arch: o.State.Arch, Report: o.State.Report}
	for _, n := range s.Fleet.Networks {
		p.Networks = append(p.Networks, n.Name)
	}
	runs := map[string]int{} // by stack, the epoch at which it was deployed there
	for _, st := range o.State.Stacks {
		if st.Hash != "" {
			runs[st.Name] = st.Epoch
		}
		if !st.Wanted {
			p.Leaves = append(p.Leaves, st.Name)
		}
	}
	for _, name := range s.Lock.On(host) {
		if next.Stacks[name].Host != host {
			p.Leaves = append(p.Leaves, name)
		}
	}
	for _, name := range next.On(host) {
		st, at := asked(s, name, next.Stacks[name]), next.Stacks[name]
		switch runs, deployed := runs[name]; {
		case !deployed || runs != at.Epoch:
			p.Comes = append(p.Comes, st)
		case st.Asks != nil:
			p.Stays = append(p.Stays, st)
		} // else the host has it as it is, which its report has
	}
	for _, f := range o.State.Findings {
		if f.Code == finding.ComposeRefused {
			p.Refuses = append(p.Refuses, fit.Misfit{Stack: stackOf(f, host, next), Text: f.Text, Fix: f.Fix, Severity: f.Severity, Known: true})
		}
	}
	return p
}

// asked is a stack with what it asks of its host: nothing where it is stopped, or where its
// files do not load.
func asked(s *Session, name string, at fleet.Placement) fit.Stack {
	declared, known := s.Fleet.Stack(name)
	if !known || declared.Broken || at.Stopped {
		return fit.Stack{Name: name}
	}
	return fit.Stack{Name: name, Rendered: s.Stacks[name], Needs: declared.Needs}
}

// sizesOf returns how much data is restored for stacks. A record that does not answer keeps
// none from coming: its host looks at its room again.
func sizesOf(ctx context.Context, s *Session, restored fleet.Lock) map[string]int64 {
	if len(restored.Stacks) == 0 || s.Fleet.Record.Remote == "" {
		return nil
	}
	sizes, err := s.Record.Sizes(ctx, restored)
	if err != nil {
		return nil
	}
	return sizes
}

// restores reports whether a host lacks data of a stack.
func restores(o Observation, stack string) bool {
	return slices.ContainsFunc(o.State.Changes, func(c agentapi.Change) bool {
		return c.Stack == stack && c.Kind() == agentapi.ChangeVolume && c.Action == "+"
	})
}

// devices returns those that stacks ask for, sorted.
func devices(all map[string]project.Rendered, stacks []agentapi.Stack) []string {
	var asked []string
	for _, st := range stacks {
		for _, asks := range all[st.Name].Asks {
			asked = append(asked, asks.Devices...)
		}
	}
	slices.Sort(asked)
	return slices.Compact(asked)
}

// FitFindings are misfits as findings, without those that hosts report. elsewhere is how one goes on without a stack.
func FitFindings(misfits map[string][]fit.Misfit, elsewhere func(stack string) string) []finding.Finding {
	var all []finding.Finding
	for _, host := range slices.Sorted(maps.Keys(misfits)) {
		for _, m := range misfits[host] {
			if !m.Known {
				all = append(all, m.Finding(host, m.Fix+"; or "+elsewhere(m.Stack)))
			}
		}
	}
	return all
}
