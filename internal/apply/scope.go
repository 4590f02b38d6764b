package apply

import (
	"context"
	"maps"
	"slices"

	"salvor/internal/deploy"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/placement"
)

// A Scope says what a plan or an apply is about: stacks, with those that they need, and
// what is on hosts or comes there; the zero value is everything.
type Scope struct {
	Stacks []string
	Hosts  []string
}

func (s Scope) whole() bool { return len(s.Stacks)+len(s.Hosts) == 0 }

// about returns the stacks of the scope, sorted.
func (s Scope) about(f *fleet.Fleet, lock, next fleet.Lock) []string {
	all := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if all[name] {
			return
		}
		all[name] = true
		st, _ := f.Stack(name)
		for _, need := range st.Needs {
			add(need)
		}
	}
	for _, name := range s.Stacks {
		add(name)
	}
	for _, host := range s.Hosts {
		for _, name := range slices.Concat(lock.On(host), next.On(host)) {
			add(name)
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// hosts returns the hosts that something is to be done on for these stacks, sorted.
func (s Scope) hosts(lock, next fleet.Lock, about []string) []string {
	names := slices.Clone(s.Hosts)
	for _, name := range about {
		for _, l := range []fleet.Lock{lock, next} {
			if p, placed := l.Placement(name); placed {
				names = append(names, p.Host)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// narrow keeps an apply to its scope: it finds out which stacks and hosts that are, and
// what is to do there for other stacks, which are left as they are.
func (p *Planned) narrow(ctx context.Context) error {
	if p.Scope.whole() {
		return nil
	}
	s := p.session
	next, moves := placement.Next(s.Fleet, s.Lock, nil)
	next = s.Rename(next)
	p.about = p.Scope.about(s.Fleet, s.Lock, next)
	p.hosts = p.Scope.hosts(s.Lock, next, p.about)
	stale, err := s.StaleSeals(ctx)
	if err != nil {
		return err
	}
	whole := deploy.MakePlan(s.Fleet, s.Commit, moves, s.ObserveSome(ctx, next, p.hosts...))
	whole.Reseal(stale, next, s.Stacks)
	p.others = whole.ChangesOf(func(stack string) bool { return !slices.Contains(p.about, stack) })
	for _, m := range moves {
		if !slices.Contains(p.about, m.Stack) && !slices.Contains(p.hosts, m.From) && !slices.Contains(p.hosts, m.To) {
			p.others++
		}
	}
	s.Leave(p.about)
	return nil
}

// left reports whether a stack is outside of the scope.
func (p *Planned) left(stack string) bool {
	return !p.Scope.whole() && stack != "" && !slices.Contains(p.about, stack)
}

// inScope returns the findings without those that keep other stacks from being deployed.
func (p *Planned) inScope(all []finding.Finding) []finding.Finding {
	return slices.DeleteFunc(slices.Clone(all), func(f finding.Finding) bool { return p.left(f.Stack) })
}

// say has the plan say what it is about.
func (p *Planned) say() {
	if p.Scope.whole() {
		return
	}
	p.Plan.About, p.Plan.Others = p.about, p.others
	p.Plan.Left = slices.DeleteFunc(p.Plan.Left, p.left)
	for _, h := range p.session.Fleet.Hosts {
		if !slices.Contains(p.hosts, h.Name) {
			p.Plan.NotAsked = append(p.Plan.NotAsked, h.Name)
		}
	}
}
