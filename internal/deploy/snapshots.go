package deploy

import (
	"context"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/proposal"
)

// TakeSnapshot proposes to have a stack's host take a snapshot of it now. It asks
// nothing: a snapshot changes nothing that a stack has.
func (s *Session) TakeSnapshot(take agentapi.TakeSnapshot) (proposal.Proposal[agentapi.SnapshotReceipt], error) {
	at, err := placement.Of(s.Lock, take.Stack)
	return proposal.New("take a snapshot of "+take.Stack, func(ctx context.Context, sink progress.Sink) (agentapi.SnapshotReceipt, error) {
		s.Sink = sink
		var receipt agentapi.SnapshotReceipt
		err := s.Call(ctx, at.Host, agentapi.VerbSnapshot, take, &receipt)
		return receipt, err
	}), err
}

// BringBack proposes to restore a snapshot of a host's own data into a folder on that host.
func BringBack(s *Session, host, snapshot string) proposal.Proposal[agentapi.BroughtBack] {
	return proposal.New("bring back "+fleet.Own(host)+" into a folder on "+host, func(ctx context.Context, sink progress.Sink) (agentapi.BroughtBack, error) {
		s.Sink = sink
		var done agentapi.BroughtBack
		return done, s.Call(ctx, host, agentapi.VerbBringBack, agentapi.BringBack{Snapshot: snapshot}, &done)
	})
}

// Snapshots lists a stack's snapshots, as its host sees them on their targets.
func (s *Session) Snapshots(ctx context.Context, stack string) (agentapi.SnapshotList, error) {
	var list agentapi.SnapshotList
	p, err := placement.Of(s.Lock, stack)
	if err != nil {
		return list, err
	}
	return list, s.Call(ctx, p.Host, agentapi.VerbSnapshots, agentapi.Snapshots{Stack: stack}, &list)
}
