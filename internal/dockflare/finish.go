package dockflare

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/cloudflare"
	"salvor/internal/fault"
	"salvor/internal/hostlink"
	"salvor/internal/machine"
)

const (
	askEvery  = time.Second
	stopLimit = time.Minute
)

// Serves reports whether Salvor's connector on a host serves the tunnel with its newest rules.
func Serves(ctx context.Context, f *Fleet, host string, tunnel cloudflare.Tunnel) bool {
	h, err := hostOf(f.Declared, host)
	if err != nil {
		return false
	}
	link, err := f.Dial(ctx, h)
	if err != nil {
		return false
	}
	var list agentapi.RouteList
	return link.Call(ctx, agentapi.VerbRoutes, agentapi.AskRoutes{}, &list) == nil && notReady(list, tunnel) == nil
}

// Finish stops DockFlare's connectors on a host, once Salvor's serves the tunnel with its
// newest rules; it returns which. They are not removed: docker start brings one back. Without
// one that runs there is nothing to do.
func Finish(ctx context.Context, f *Fleet, host string, tunnel cloudflare.Tunnel) (stopped []string, err error) {
	h, err := hostOf(f.Declared, host)
	if err != nil {
		return nil, err
	}
	found, link, err := f.on(ctx, h)
	if err == nil {
		err = found.still(h.Name)
	}
	if err != nil || len(found.connectors) == 0 {
		return nil, err
	}
	if err := f.ready(ctx, link, tunnel); err != nil {
		return nil, fault.WithHint(fmt.Errorf("DockFlare's connector on %s runs on: %w", h.Name, err), "salvor route ls; salvor route adopt --host "+h.Name+" goes on")
	}
	for _, name := range found.connectors {
		if _, err := link.Machine.Run(ctx, machine.Cmd{Argv: []string{"docker", "stop", name}, Timeout: stopLimit}); err != nil {
			return stopped, err
		}
		stopped = append(stopped, name)
	}
	return stopped, nil
}

// ready waits until Salvor's connector has the newest rules of the tunnel.
func (f *Fleet) ready(ctx context.Context, link *hostlink.Link, tunnel cloudflare.Tunnel) error {
	for end := time.Now().Add(f.Patience); ; {
		var list agentapi.RouteList
		if err := link.Call(ctx, agentapi.VerbRoutes, agentapi.AskRoutes{}, &list); err != nil {
			return err
		}
		why := notReady(list, tunnel)
		if why == nil || !time.Now().Before(end) {
			return why
		}
		timer := time.NewTimer(askEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// notReady says why Salvor's connector can't serve a tunnel alone yet.
func notReady(list agentapi.RouteList, tunnel cloudflare.Tunnel) error {
	switch {
	case list.Why != "":
		return errors.New(list.Why)
	case list.Tunnel != tunnel.Name:
		return fmt.Errorf("the one of Salvor does not serve the tunnel %s yet", tunnel.Name)
	case list.Connector == 0 || list.Connector < list.Version:
		return fmt.Errorf("the one of Salvor has version %d of the rules, and %d is the newest", list.Connector, list.Version)
	}
	return nil
}
