package deploy

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
)

// ApplyHosts has every host apply its part, commits what the hosts learned and renews
// the mirror. What hosts learned in a run that is interrupted is committed by the run
// that continues.
func (r *Run) ApplyHosts(ctx context.Context) error {
	applied := r.phase(ctx, "apply", func() error { return r.applyHosts(ctx) })
	if ctx.Err() != nil {
		return applied
	}
	folded := r.fold(ctx, applied)
	r.mirror(ctx)
	return errors.Join(applied, folded)
}

// applyHosts has every host apply its part. Hosts that were interrupted may answer
// with a receipt; the run is not done anyway.
func (r *Run) applyHosts(ctx context.Context) error {
	var mu sync.Mutex
	err := r.each(func(h fleet.Host, hp HostPlan) error {
		receipt, err := r.applyHost(ctx, h, hp)
		mu.Lock()
		defer mu.Unlock()
		if receipt.Host != "" {
			r.receipt.Hosts = append(r.receipt.Hosts, receipt)
		}
		return err
	})
	return errors.Join(err, ctx.Err())
}

func (r *Run) applyHost(ctx context.Context, h fleet.Host, hp HostPlan) (agentapi.HostReceipt, error) {
	var receipt agentapi.HostReceipt
	if !hp.New && len(hp.Changes) == 0 && !r.Unplanned {
		return receipt, nil
	}
	spec, err := r.spec(h, r.Lock, r.Commit)
	if err != nil {
		return receipt, err
	}
	link, err := r.dial(ctx, h)
	if err != nil {
		return receipt, err
	}
	req := agentapi.Apply{Host: spec, Owner: r.Owner, Message: fmt.Sprintf("%s %.7s", r.Kind, r.Commit), Wait: r.waits(spec.Stacks)}
	if !hp.New && !r.Unplanned {
		return r.applyPlanned(ctx, link, h, hp, req)
	}
	err = r.call(ctx, link, agentapi.VerbApply, req, &receipt)
	return receipt, err
}

// each runs work for every host of the plan that can be reached, at once.
func (r *Run) each(work func(fleet.Host, HostPlan) error) error {
	var g group
	for _, hp := range r.Plan.Hosts {
		h, declared := r.Fleet.Host(hp.Host)
		if !declared || hp.Unreachable != "" {
			continue
		}
		g.Go(func() error { return work(h, hp) })
	}
	return g.Wait()
}
