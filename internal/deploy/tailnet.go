package deploy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/secret"
	"salvor/internal/tailnet"
	"salvor/internal/terminal"
)

// Tailnet lets hosts into the fleet's tailnet, and removes those that are gone.
type Tailnet interface {
	// Key returns a key with which one host may join now.
	Key(ctx context.Context, host string) (secret.Value, error)
	// Forget removes the devices of a host that is gone and returns how many. The error
	// wraps tailnet.ErrNoClient where that is not possible here.
	Forget(ctx context.Context, host, address string) (int, error)
}

// admit returns what lets a host into the tailnet, nil for one that is in or is not to be. A
// host of which that is not known yet is asked. Without a key the host says why: it is not a
// reason to leave the rest undone.
func admit(ctx context.Context, r *Run, link *hostlink.Link, hp HostPlan, spec agentapi.Host) (*agentapi.Join, error) {
	if spec.Tailnet == nil || r.Tailnet == nil {
		return nil, nil
	}
	out := hp.Out
	if hp.New || hp.Updates || r.Unplanned {
		var seen agentapi.HostState
		if err := r.call(ctx, link, agentapi.VerbObserve, agentapi.Observe{Host: spec}, &seen); err != nil {
			return nil, err
		}
		out = seen.Node != nil && seen.Node.Out
	}
	if !out {
		return nil, nil
	}
	key, err := r.Tailnet.Key(ctx, spec.Name)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return &agentapi.Join{Why: err.Error(), Fix: fault.Hint(err)}, nil
	}
	return &agentapi.Join{Key: key.Reveal()}, nil
}

// forget removes the device of the machine that is replaced from the tailnet, so that the one
// that joins has its name. What can't be removed is left to the operator.
func forget(ctx context.Context, r *Run) {
	h, declared := r.Fleet.Host(r.Lost)
	_, known := r.Lock.Tailnet[r.Lost]
	member := known || declared && h.Manage.Has(fleet.AreaTailnet)
	if r.Tailnet == nil || !r.Replaced || !member {
		return
	}
	_, err := r.Tailnet.Forget(ctx, r.Lost, OwnAddress(r.Lock, r.Lost))
	if text := LeftInTailnet(r.Lost, err); text != "" {
		r.Leave(text)
	}
	r.forgotten = true
}

// OwnAddress is a host's address in the tailnet as it said it, "" for none, and for one that another host says, too: a
// host could have the device of another one removed with its own.
func OwnAddress(lock fleet.Lock, host string) string {
	for other, address := range lock.Tailnet {
		if other != host && address == lock.Tailnet[host] {
			return ""
		}
	}
	return lock.Tailnet[host]
}

// LeftInTailnet says what is left to do about the device of a host that is gone, "" for
// nothing.
func LeftInTailnet(host string, err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, tailnet.ErrNoClient):
		return fmt.Sprintf("the device %s stays in the tailnet, since the fleet has an auth key and no OAuth client: remove it in the admin console, or the next one is named %s-1", host, host)
	}
	return fmt.Sprintf("the device %s may still be in the tailnet (%s): remove it in the admin console", host, terminal.Line(err.Error()))
}

func withoutNode(lock fleet.Lock, host string) fleet.Lock {
	next := lock.Copy()
	delete(next.Tailnet, host)
	return next
}

// withNode is the lock with a host's address in the tailnet, as the host says it.
func withNode(lock fleet.Lock, h agentapi.HostReceipt) fleet.Lock {
	if h.Node == nil || h.Node.Address == "" || lock.Tailnet[h.Host] == h.Node.Address {
		return lock
	}
	if ip, err := netip.ParseAddr(h.Node.Address); err != nil || !ip.Is4() {
		return lock
	}
	next := lock.Copy()
	if next.Tailnet == nil {
		next.Tailnet = map[string]string{}
	}
	next.Tailnet[h.Host] = h.Node.Address
	return next
}
