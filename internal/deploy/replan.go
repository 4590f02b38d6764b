package deploy

import (
	"context"
	"errors"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
)

// replans is how often a host that changed since its plan was made is planned
// again in one apply. A host's own unfinished work ends before it answers that it
// changed, so once nearly always does.
const replans = 3

// applyPlanned has a host apply its part of the plan. A host that changed meanwhile,
// since its daemon finished something, is planned again.
func (r *Run) applyPlanned(ctx context.Context, link *hostlink.Link, h fleet.Host, hp HostPlan, req agentapi.Apply) (receipt agentapi.HostReceipt, err error) {
	for range replans {
		req.Fingerprint = hp.Fingerprint
		if err = r.call(ctx, link, agentapi.VerbApply, req, &receipt); !isMoved(err) {
			return receipt, err
		}
		if hp, err = r.replan(ctx, h, hp, err); err != nil {
			return receipt, err
		}
		req.Opens = hp.opens()
		if hp.Out && req.Join == nil { // it was in the tailnet when it was planned
			if req.Join, err = admit(ctx, r, link, hp, req.Host); err != nil {
				return receipt, err
			}
		}
	}
	req.Fingerprint = hp.Fingerprint
	err = r.call(ctx, link, agentapi.VerbApply, req, &receipt)
	if isMoved(err) {
		err = fault.WithCode(err, fault.General)
	}
	return receipt, err
}

func isMoved(err error) bool {
	answer, ok := errors.AsType[*agentapi.Error](err)
	return ok && answer.Code == agentapi.CodeMoved
}

// replan observes a host once more. What was not in the plan that the operator
// accepted is theirs to accept.
func (r *Run) replan(ctx context.Context, h fleet.Host, accepted HostPlan, moved error) (HostPlan, error) {
	seen := r.observeHost(ctx, h, r.Lock)
	if seen.Err != nil || seen.New {
		return accepted, fault.WithCode(errors.Join(moved, seen.Err), fault.General)
	}
	p := MakePlan(r.Fleet, r.Commit, nil, map[string]Observation{h.Name: seen})
	now := p.Hosts[0]
	if now.within(accepted) && !finding.AnyFatal(p.Findings) {
		now.Changes = accepted.Changes
		return now, nil
	}
	if r.Accept == nil {
		return accepted, fault.WithCode(moved, fault.General)
	}
	r.asking.Lock()
	defer r.asking.Unlock()
	return now, r.Accept(p)
}

// within reports whether nothing is done, and no data may be lost, that another plan
// of the same host does not have. Why something is done may differ.
func (hp HostPlan) within(accepted HostPlan) bool {
	return !slices.ContainsFunc(hp.Changes, func(c agentapi.Change) bool {
		c.Cause = ""
		return !slices.ContainsFunc(accepted.Changes, func(a agentapi.Change) bool { a.Cause = ""; return a == c })
	})
}
