package deploy

import (
	"cmp"
	"context"
	"fmt"

	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/proposal"
)

// Down proposes to declare a stack stopped, in a commit, and have its host stop it.
func (s *Session) Down(stack string) (proposal.Proposal[Receipt], error) {
	p, err := s.Amend(KindDown, stack, placement.Stop)
	p.Question = fmt.Sprintf("Stop %s? Its volumes are kept.", s.called(stack))
	return p, err
}

// Up proposes to take back a Down.
func (s *Session) Up(stack string) (proposal.Proposal[Receipt], error) {
	p, err := s.Amend(KindUp, stack, placement.Start)
	p.Question = fmt.Sprintf("Start %s?", s.called(stack))
	return p, err
}

// called is the name that a stack has for people.
func (s *Session) called(stack string) string {
	st, _ := s.Fleet.Stack(stack)
	return cmp.Or(st.Called, stack)
}

// Amend proposes to change one placement where it is, by a function of package
// placement, and have its host apply the commit. The caller gives it its question.
func (s *Session) Amend(kind Kind, stack string, change func(lock fleet.Lock, stack string) fleet.Lock) (proposal.Proposal[Receipt], error) {
	at, err := placement.Of(s.Lock, stack)
	return proposal.New(string(kind)+" "+stack, func(ctx context.Context, sink progress.Sink) (Receipt, error) {
		s.Sink = sink
		return s.Apply(ctx, s.OnHost(at.Host), change(s.Lock, stack), Options{Kind: kind, Message: string(kind) + ": " + stack, Asked: []string{stack}, Unplanned: true})
	}), err
}

// OnHost is the plan of a run that works on one host, or several, whatever it
// finds there.
func (s *Session) OnHost(hosts ...string) Plan {
	p := Plan{Schema: fleet.Schema, Fleet: s.Fleet.Name, Commit: s.Commit}
	for _, h := range hosts {
		p.Hosts = append(p.Hosts, HostPlan{Host: h})
	}
	return p
}
