package deploy

import (
	"context"
	"fmt"

	"salvor/internal/agentapi"
)

// HostStatus is what a host says of itself, or why it does not answer.
type HostStatus struct {
	Host  string             `json:"host"`
	State agentapi.HostState `json:"state"`
	Error string             `json:"error,omitempty"`
}

// Status asks every host at once how its stacks are.
func (s *Session) Status(ctx context.Context) []HostStatus {
	all := make([]HostStatus, len(s.Fleet.Hosts))
	var g group
	for i, h := range s.Fleet.Hosts {
		all[i].Host = h.Name
		g.Go(func() error {
			if err := s.Call(ctx, h.Name, agentapi.VerbStatus, agentapi.Observe{}, &all[i].State); err != nil {
				all[i].Error = err.Error()
			}
			return nil
		})
	}
	g.wg.Wait()
	return all
}

// Call runs one verb on a declared host.
func (s *Session) Call(ctx context.Context, host, verb string, req, resp any) error {
	h, declared := s.Fleet.Host(host)
	if !declared {
		return fmt.Errorf("no host %s is declared", host)
	}
	link, err := s.Hosts.Dial(ctx, h)
	if err != nil {
		return err
	}
	return s.call(ctx, link, verb, req, resp)
}
