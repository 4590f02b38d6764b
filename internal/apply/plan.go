package apply

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"salvor/internal/deploy"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/progress"
)

// Plan returns what an apply in a scope would do, with everything that is in its way as findings. Nothing is changed.
func Plan(ctx context.Context, f *Fleet, scope Scope, sink progress.Sink) (deploy.Plan, error) {
	s, err := f.Session(ctx, sink)
	if err != nil {
		return deploy.Plan{}, err
	}
	p := &Planned{Options: Options{Scope: scope}, fleet: f, session: s}
	if err := p.narrow(ctx); err != nil {
		return deploy.Plan{}, err
	}
	err = p.plan(ctx, nil)
	return p.Plan, err
}

// plan observes every host once, looks for secrets in the commit and at the claims at the same time, and
// plans. Stacks that something is in the way of are left as they run, and named in findings: the rest is
// planned without them. past has the highest epochs of names that were used before.
func (p *Planned) plan(ctx context.Context, past map[string]int) error {
	s, drafts := p.session, p.drafts()
	s.Hold(drafts)
	p.place(past)
	var stale map[string]string
	var inClear, held, clone []finding.Finding
	var meanwhile errgroup.Group
	meanwhile.Go(func() (err error) {
		if stale, err = s.StaleSeals(ctx); err == nil {
			inClear, err = p.fleet.InClear(ctx)
		}
		return err
	})
	meanwhile.Go(func() error {
		held = s.TakenOver(ctx, p.next)
		return nil
	})
	meanwhile.Go(func() (err error) {
		clone, err = p.fleet.AboutClone(ctx)
		return err
	})
	observed := p.observe(ctx)
	if err := meanwhile.Wait(); err != nil {
		return err
	}
	first := p.inScope(deploy.FirstUploads(ctx, s.Fleet, observed, p.fleet.Free))
	held = slices.Concat(p.inScope(slices.Concat(held, deploy.Scoped(observed, p.next), p.misfits(ctx, observed))), first)
	for s.Hold(held) {
		for _, f := range held {
			delete(stale, f.Stack) // what is left out gets no new seal
		}
		p.place(past)
		observed = p.observe(ctx)
		deploy.Scoped(observed, p.next)
		held = append(held, p.inScope(p.misfits(ctx, observed))...) // one that stays may be in the way of another
	}
	p.Plan = deploy.MakePlan(s.Fleet, s.Commit, p.moves, observed)
	if around := s.Fleet.Playbooks; !around.None() {
		p.Plan.Playbooks = &around
	}
	p.Plan.Reseal(stale, p.next, s.Stacks)
	p.Plan.Rename(slices.DeleteFunc(slices.Clone(p.fleet.Renamed), func(st fleet.Stack) bool { return p.left(st.Name) }), p.next)
	p.say()
	p.Plan.Findings = slices.Concat(p.Plan.Findings, drafts, held, clone, p.inScope(p.fleet.Findings), inClear, s.RenameFindings())
	finding.Sort(p.Plan.Findings)
	p.Plan.Findings = slices.CompactFunc(p.Plan.Findings, func(a, b finding.Finding) bool { return a == b })
	var err error
	p.Plan.Grants, err = p.fleet.Grants(ctx, p.next)
	return err
}

// place counts the placements on from the lock, with the names that volumes have now.
func (p *Planned) place(past map[string]int) {
	p.next, p.moves = placement.Next(p.session.Fleet, p.session.Lock, past)
	p.next = p.session.Rename(p.next)
	if !p.Scope.whole() {
		p.next, p.moves = placement.Some(p.session.Lock, p.next, p.moves, p.about)
		p.next = placement.Owns(p.session.Fleet, p.next)
	}
}

// observe asks the hosts of the scope.
func (p *Planned) observe(ctx context.Context) map[string]deploy.Observation {
	if p.Scope.whole() {
		return p.session.Observe(ctx, p.next)
	}
	return p.session.ObserveSome(ctx, p.next, p.hosts...)
}

// misfits returns which stacks do not fit on the hosts that they are to come to.
func (p *Planned) misfits(ctx context.Context, observed map[string]deploy.Observation) []finding.Finding {
	return deploy.FitFindings(deploy.Misfits(ctx, p.session, p.next, observed), func(stack string) string {
		return "choose another host for " + stack + ": host: under x-salvor in its Compose file"
	})
}
