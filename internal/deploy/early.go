package deploy

import (
	"context"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
)

// early has the hosts that take over from a lost one install what data is restored
// with, beside the seals, the commit and the claims: nothing in it belongs to a
// stack. wait ends when they have, and notes the phase. What fails is tried again,
// and told, by the apply.
func (s *Session) early(ctx context.Context, r *Receipt, plan Plan, o Options) (wait func()) {
	if o.Lost == "" {
		return func() {}
	}
	done := make(chan agentapi.Phase, 1)
	go func() {
		began := time.Now().UTC()
		_ = s.each(plan, o, func(h fleet.Host, _ HostPlan) error {
			link, err := s.Hosts.Dial(ctx, h)
			if err != nil {
				return err
			}
			return link.Call(ctx, agentapi.VerbPrepare, agentapi.Prepare{}, &agentapi.Prepared{})
		})
		done <- agentapi.Phase{Name: "prepare for data", Began: began, Ended: time.Now().UTC()}
	}()
	return func() { r.Phases = append(r.Phases, <-done) }
}
