package deploy

import (
	"context"

	"salvor/internal/agentapi"
)

// HostRoutes are the public hostnames of a host as it saw them last, or why it does not answer.
type HostRoutes struct {
	Host  string
	List  agentapi.RouteList
	Error string
	Hint  string // the next command, for a host that does not answer
}

// Routes asks the hosts that publish for their public hostnames.
func Routes(ctx context.Context, s *Session) []HostRoutes {
	hosts := s.Fleet.Publishing(s.Lock)
	all := make([]HostRoutes, len(hosts))
	askEach(s.Sink, hosts, func(i int) {
		h := &all[i]
		h.Host = hosts[i]
		if err := s.Call(ctx, h.Host, agentapi.VerbRoutes, agentapi.AskRoutes{}, &h.List); err != nil {
			h.Error, h.Hint = err.Error(), s.nextCommand(h.Host, err)
		}
	})
	return all
}
