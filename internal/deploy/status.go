package deploy

import (
	"context"
	"errors"
	"fmt"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/hostlink"
	"salvor/internal/machine"
)

// HostStatus is what a host reports, or why it does not answer.
type HostStatus struct {
	Host   string             `json:"host"`
	State  agentapi.HostState `json:"state"`
	Error  string             `json:"error,omitempty"`
	Hint   string             `json:"hint,omitempty"`   // the next command, for a host that does not answer
	Placed []string           `json:"placed,omitempty"` // the stacks of a host that does not answer, by name
}

// Status asks every host at once how its stacks are.
func (s *Session) Status(ctx context.Context) []HostStatus {
	all := make([]HostStatus, len(s.Fleet.Hosts))
	var g group
	for i, h := range s.Fleet.Hosts {
		all[i].Host = h.Name
		g.Go(func() error {
			if err := s.Call(ctx, h.Name, agentapi.VerbStatus, s.placedOn(h.Name), &all[i].State); err != nil {
				all[i].Error, all[i].Placed = err.Error(), s.Lock.On(h.Name)
				all[i].Hint = s.nextCommand(h.Name, err)
			}
			return nil
		})
	}
	g.wg.Wait()
	return all
}

// placedOn is the question how a host's stacks are.
func (s *Session) placedOn(host string) agentapi.Observe {
	asked := agentapi.Host{Name: host}
	for _, name := range s.Lock.On(host) {
		asked.Stacks = append(asked.Stacks, agentapi.Stack{Name: name, Epoch: s.Lock.Stacks[name].Epoch})
	}
	return agentapi.Observe{Host: asked}
}

// nextCommand is the next command for a host that did not answer.
func (s *Session) nextCommand(host string, err error) string {
	hint := fault.Hint(err)
	if answer, is := errors.AsType[*agentapi.Error](err); is && hint == "" {
		hint = answer.Hint
	}
	if !errors.Is(err, machine.ErrUnreachable) || len(s.Lock.On(host)) == 0 {
		return hint
	}
	return fmt.Sprintf("if %s is lost permanently: salvor recover %s --to HOST", host, host)
}

// Call runs one verb on a declared host.
func (s *Session) Call(ctx context.Context, host, verb string, req, resp any) error {
	h, declared := s.Fleet.Host(host)
	if !declared {
		return fmt.Errorf("host %s is not declared", host)
	}
	link, err := s.dial(ctx, h)
	if err != nil {
		return err
	}
	return s.call(ctx, link, verb, req, resp)
}

// call runs a verb and names the host in what went wrong.
func (s *Session) call(ctx context.Context, link *hostlink.Link, verb string, req, resp any) error {
	err := link.Call(ctx, verb, req, resp)
	var answer *agentapi.Error
	if errors.As(err, &answer) {
		return fault.WithCode(fmt.Errorf("%s: %w", link.Host, err), answer.Code)
	}
	return err
}
