package deploy

import (
	"context"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/proposal"
)

// HostServices are what runs on a host, or why it does not answer.
type HostServices struct {
	Host   string                   `json:"host"`
	Stacks []agentapi.StackServices `json:"stacks"`
	Error  string                   `json:"error,omitempty"`
	Hint   string                   `json:"hint,omitempty"`   // the next command, for a host that does not answer
	Placed []string                 `json:"placed,omitempty"` // the stacks of a host that does not answer, by name

	Findings []finding.Finding `json:"findings,omitempty"` // about its answer
}

// Services asks the hosts of placed stacks, of all for "", which containers these have.
func (s *Session) Services(ctx context.Context, stack string) ([]HostServices, error) {
	asked := map[string][]string{}
	for _, h := range s.Fleet.Hosts {
		asked[h.Name] = s.Lock.On(h.Name)
	}
	if stack != "" {
		at, err := placement.Of(s.Lock, stack)
		if err != nil {
			return nil, err
		}
		asked = map[string][]string{at.Host: {stack}}
	}
	var all []HostServices
	for _, h := range s.Fleet.Hosts {
		if len(asked[h.Name]) > 0 {
			all = append(all, HostServices{Host: h.Name, Stacks: []agentapi.StackServices{}})
		}
	}
	askEach(s.Sink, hostNames(all), func(i int) {
		var list agentapi.ServiceList
		h := &all[i]
		if err := s.Call(ctx, h.Host, agentapi.VerbServices, agentapi.AskServices{Stacks: asked[h.Host]}, &list); err != nil {
			h.Error, h.Hint, h.Placed = err.Error(), s.nextCommand(h.Host, err), asked[h.Host]
			return
		}
		h.Stacks, h.Findings = append(h.Stacks, list.Stacks...), list.Findings
	})
	return all, nil
}

func hostNames(all []HostServices) []string {
	var names []string
	for _, h := range all {
		names = append(names, h.Host)
	}
	return names
}

// Control proposes to restart, start or stop services of a deployed stack. It asks
// nothing: what is deployed stays so.
func (s *Session) Control(c agentapi.Control) (proposal.Proposal[agentapi.Controlled], error) {
	at, err := placement.Of(s.Lock, c.Stack)
	c.Owner = s.Owner
	return proposal.New(string(c.Action)+" "+c.Stack, func(ctx context.Context, sink progress.Sink) (agentapi.Controlled, error) {
		s.Sink = sink
		var done agentapi.Controlled
		err := s.Call(ctx, at.Host, agentapi.VerbControl, c, &done)
		return done, err
	}), err
}
