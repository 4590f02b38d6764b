// Package apply makes every host match the newest commit: Prepare plans it, and the
// proposal that comes of the plan carries it out.
package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/proposal"
)

// A Fleet is the newest commit of the fleet, opened, as far as an apply needs it.
type Fleet struct {
	Declared *fleet.Fleet
	Renamed  []fleet.Stack     // whose new names Git's lock does not have yet
	Findings []finding.Finding // about the commit, without asking a host
	// InClear returns a finding for each secret that the commit has unencrypted.
	InClear func(ctx context.Context) ([]finding.Finding, error)
	// AboutClone returns what is not committed in this clone, and what it does not have.
	AboutClone func(ctx context.Context) ([]finding.Finding, error)
	// PinGitHost makes sure that hosts know the Git host's key.
	PinGitHost func(ctx context.Context) error
	// Grants returns what the commit lets others do under next and the operator has not
	// confirmed; Confirm has it confirmed.
	Grants  func(ctx context.Context, next fleet.Lock) ([]grant.Grant, error)
	Confirm func(ctx context.Context, next fleet.Lock) error
	// Playbooks makes sure that those around an apply can run, and that the operator approved
	// them; nil for none.
	Playbooks func() error
	// Free says how much is free on a remote.
	Free deploy.Free
	// Session returns the workflow on the commit. Its progress goes to sink.
	Session func(ctx context.Context, sink progress.Sink) (*deploy.Session, error)
	// LetRead has the Git host let hosts read the repository, where that is due; unread says
	// that one of them could not.
	LetRead func(ctx context.Context, unread bool) error
	// Delivered notes that hosts have what the commit has, RenewMirror brings its mirror up
	// to date. Nothing that runs depends on either.
	Delivered   func(ctx context.Context) error
	RenewMirror func(ctx context.Context) error
}

// Options say what the operator decided beforehand.
type Options struct {
	Consent map[string]project.Consent // by stack, what becomes of its data
	Partial bool                       // hosts that can't be reached are left out
	Scope   Scope                      // what it is about
	// Unprotect has the operator confirm that everyone will reach a hostname that asked for
	// protection; nil refuses.
	Unprotect func(hostname string) error
}

// A Planned apply is one that was prepared and not begun.
type Planned struct {
	Plan deploy.Plan // what it would do
	Options

	fleet   *Fleet
	session *deploy.Session
	next    fleet.Lock
	moves   []placement.Move
	about   []string          // stacks of the scope; nil for all
	hosts   []string          // on which something is to be done for them; nil for all
	others  int               // changes outside of the scope
	broken  []finding.Finding // why stacks are left running as they are
	aside   error
}

// Prepare plans an apply. Only the Git host's key is committed, where it is not pinned yet. Every host is
// asked once, and reports to sink.
func Prepare(ctx context.Context, f *Fleet, o Options, sink progress.Sink) (*Planned, error) {
	if err := deploy.Blocked(f.inTheWay(f.Findings)); err != nil {
		return nil, err
	}
	if err := f.PinGitHost(ctx); err != nil {
		return nil, err
	}
	s, err := f.Session(ctx, sink)
	if err != nil {
		return nil, err
	}
	s.Consent = o.Consent
	p := &Planned{Options: o, fleet: f, session: s}
	if err := p.narrow(ctx); err != nil {
		return nil, err
	}
	past, err := s.New(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.plan(ctx, past); err != nil {
		return nil, err
	}
	p.broken, _ = finding.Of(p.Plan.Findings)
	return p, nil
}

// inTheWay are the findings that keep the whole fleet from being applied: all of them
// where no stack is left that could be.
func (f *Fleet) inTheWay(all []finding.Finding) []finding.Finding {
	if !slices.ContainsFunc(f.Declared.Stacks, func(st fleet.Stack) bool { return !st.Broken }) {
		return all
	}
	_, others := finding.Of(all)
	return others
}

// Propose proposes to carry the plan out; a plan that nothing comes of is not asked about. again shows the
// plan of a host that changed since, which has more to do now, and has it confirmed; see Question.
func (p *Planned) Propose(ctx context.Context, again func(deploy.Plan) error) (proposal.Proposal[deploy.Receipt], error) {
	made := proposal.New("apply to "+p.Plan.Fleet, func(ctx context.Context, sink progress.Sink) (deploy.Receipt, error) {
		return p.run(ctx, sink, again)
	})
	made.Loses = p.Plan.Destroys()
	var err error
	made.Question, made.Name, err = p.Question(ctx, &p.Plan)
	return made, err
}

// Question is what the operator confirms of a plan, with the name to type where it may lose data: "" for a
// plan that does nothing. Its grants are confirmed first. It fails while something is in the plan's way.
func (p *Planned) Question(ctx context.Context, plan *deploy.Plan) (question, name string, err error) {
	if err := deploy.Blocked(p.fleet.inTheWay(plan.Findings)); err != nil {
		return "", "", err
	}
	if err := plan.Complete(); err != nil && !p.Partial {
		return "", "", fault.WithCode(fault.WithHint(err, "salvor apply --partial continues without them"), fault.Unreachable)
	}
	if err := p.fleet.Confirm(ctx, p.next); err != nil || plan.Empty() {
		return "", "", err
	}
	for _, hostname := range plan.Opens() {
		if p.Unprotect == nil {
			return "", "", fmt.Errorf("%s would lose its protection", hostname)
		}
		if err := p.Unprotect(hostname); err != nil {
			return "", "", err
		}
	}
	if lost := plan.Destroys(); len(lost) > 0 {
		return "This may lose data: " + strings.Join(lost, ", "), plan.Loser(), nil
	}
	if again := p.recreated(plan); len(again) > 0 {
		question, name = recreateQuestion(again, plan.Fleet)
		return question, name, nil
	}
	switch len(p.about) {
	case 0:
		return fmt.Sprintf("Apply to %s?", plan.Fleet), "", nil
	case 1, 2, 3:
		return fmt.Sprintf("Apply %s to %s?", strings.Join(p.about, ", "), plan.Fleet), "", nil
	}
	return fmt.Sprintf("Apply %d stacks to %s?", len(p.about), plan.Fleet), "", nil
}

// run carries the plan out. Without anything to do or to record the receipt has no Kind.
func (p *Planned) run(ctx context.Context, sink progress.Sink, again func(deploy.Plan) error) (deploy.Receipt, error) {
	if p.Plan.Empty() && len(p.moves) == 0 && !p.Plan.Pins(p.next) {
		if settled, err := p.session.Settled(ctx); err != nil || settled {
			p.aside = errors.Join(p.fleet.RenewMirror(ctx), p.letRead(ctx))
			return deploy.Receipt{}, err
		}
	}
	if p.fleet.Playbooks != nil && !p.Plan.Empty() {
		if err := p.fleet.Playbooks(); err != nil {
			return deploy.Receipt{}, err
		}
	}
	p.session.Sink = sink
	receipt, err := p.session.Apply(ctx, p.Plan, p.next, deploy.Options{Kind: deploy.KindApply, Moves: p.moves, Asked: p.about, Accept: again})
	if err == nil && p.Scope.whole() {
		p.aside = errors.Join(p.fleet.Delivered(ctx), p.letRead(ctx))
	}
	return receipt, err
}

// letRead has hosts let in that can't read the repository.
func (p *Planned) letRead(ctx context.Context) error {
	return p.fleet.LetRead(ctx, slices.ContainsFunc(p.Plan.Findings, func(f finding.Finding) bool { return f.Code == finding.GitUnread }))
}

// Aside is what failed in the run and fails nothing: to be noted.
func (p *Planned) Aside() error { return p.aside }

// Left is the error of an apply that leaves stacks running as they are, and says why;
// nil where it leaves none.
func (p *Planned) Left() error {
	var errs []error
	for _, f := range p.broken {
		errs = append(errs, fault.WithCode(fault.WithHint(fmt.Errorf("%s is left running as it is: %s", f.Stack, deploy.InFull(f)), f.Fix), fault.Partial))
	}
	return errors.Join(errs...)
}
