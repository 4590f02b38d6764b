package stack

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/suggest"
)

// A Project is one stack that is deployed on a host, as a person handles it: its services
// are started and stopped, and its files looked at.
type Project struct {
	host *Host
	name string
}

// Named returns the stack of that name.
func Named(h *Host, name string) Project { return Project{h, name} }

// Restart starts services again, none for all that ought to run,
// and waits until they are healthy. One that Docker waits to restart, because it keeps
// ending, starts at once. Nothing is pulled, built or recreated. The gate must be
// open; byHand are the services that stay stopped.
func (p Project) Restart(ctx context.Context, services, byHand []string, sink progress.Sink) error {
	h, stack := p.host, p.name
	r, err := deployed(ctx, h, stack)
	if err != nil {
		return err
	}
	containers, err := h.containers(ctx, stack)
	if err != nil {
		return err
	}
	if len(services) == 0 {
		services = r.running()
	}
	var again []string // those with a container that was started before
	for _, c := range containers {
		if !c.OneOff && c.State != "created" && slices.Contains(services, c.Service) && !slices.Contains(again, c.Service) {
			again = append(again, c.Service)
		}
	}
	if err := h.unpauseAll(ctx, stack); err != nil {
		return err
	}
	if len(again) > 0 {
		end := progress.Scope{Sink: sink, Stack: stack}.Step("restart", "")
		err = h.verb(ctx, stack, append([]string{"restart", "--no-deps"}, again...)...)
		end(err, "")
	}
	if err != nil || len(services) == 0 {
		return err
	}
	return start(ctx, h, r, startOf{stack, services, byHand}, sink)
}

// Start starts one service and what it needs, and waits until
// it is healthy. Nothing is pulled, built or recreated. The gate must be open; byHand
// are other services that stay stopped.
func (p Project) Start(ctx context.Context, service string, byHand []string, sink progress.Sink) error {
	r, err := deployed(ctx, p.host, p.name)
	if err != nil {
		return err
	}
	return start(ctx, p.host, r, startOf{p.name, []string{service}, byHand}, sink)
}

// Stop stops one service's containers, with their own grace period. One that is
// paused continues first.
func (p Project) Stop(ctx context.Context, service string) error {
	if err := p.host.unpauseAll(ctx, p.name); err != nil {
		return err
	}
	return p.host.verb(ctx, p.name, "stop", service)
}

// LastLine returns what a service wrote last, "" where it wrote nothing or can't be asked.
func (p Project) LastLine(ctx context.Context, service string) string {
	lines, err := p.host.tail(ctx, p.name, service, 1)
	if err != nil || len(lines) == 0 {
		return ""
	}
	return strings.TrimSpace(strings.TrimPrefix(lines[len(lines)-1], clearLine))
}

// running are the services that ran when the stack was last well, sorted.
func (r Record) running() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.Services)) {
		if r.Services[name].Running > 0 {
			names = append(names, name)
		}
	}
	return names
}

// HasService returns an error when nothing of the stack, as it was deployed last, is
// called so.
func (s State) HasService(name string) error {
	known := slices.Collect(maps.Keys(s.Record.Services))
	for _, c := range s.Containers {
		known = append(known, c.Service)
	}
	if slices.Contains(known, name) {
		return nil
	}
	return fault.WithHint(fmt.Errorf("stack %s has no service %q%s", s.Stack, name, suggest.DidYouMean(name, known)), "salvor ps "+s.Stack)
}
