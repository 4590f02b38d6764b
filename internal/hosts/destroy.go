package hosts

import (
	"context"
	"fmt"
	"slices"

	"salvor/internal/cloud"
	"salvor/internal/exposed"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/proposal"
)

// A Stray is a server that bears the fleet's name and that no host has.
type Stray struct {
	cloud.Server
	Fix string // the command that takes it away
}

// Stray lists the servers of a provider that no host has.
func (s *Servers) Stray(ctx context.Context, p cloud.Provider) ([]cloud.Server, error) {
	all, err := p.Servers(ctx)
	return slices.DeleteFunc(all, func(found cloud.Server) bool { return s.hasServer(found.Server) != "" }), err
}

// Strays is Stray with the command for each.
func (s *Servers) Strays(ctx context.Context, p cloud.Provider) ([]Stray, error) {
	all, err := s.Stray(ctx, p)
	var strays []Stray
	for _, found := range all {
		strays = append(strays, Stray{found, takesAway(found)})
	}
	return strays, err
}

// hasServer returns the host that has a server, "" for none.
func (s *Servers) hasServer(server fleet.Server) string {
	for _, h := range s.checkout.Fleet.Hosts {
		if h.Server == server {
			return h.Name
		}
	}
	return ""
}

// PrepareDestroy proposes to take away the server that was made for a host, and then the
// host, in one commit. A host that still has stacks is refused, and so is one that Salvor did
// not make. Run again after an interruption, it ends what it began. The receipt says what the
// host was able to reach.
func (s *Servers) PrepareDestroy(name string, p cloud.Provider) (proposal.Proposal[exposed.Host], error) {
	h, _ := s.checkout.Fleet.Host(name)
	prepared := proposal.New("destroy host "+name, func(ctx context.Context, sink progress.Sink) (exposed.Host, error) {
		return s.destroy(ctx, h, p, sink)
	})
	prepared.Question = fmt.Sprintf("This takes away the server of %s at %s, with its disk and all data there, and removes %[1]s from the fleet.", name, p.Place())
	prepared.Name = name
	prepared.Loses = []string{"The data on the disk of " + name + " that no snapshot has is lost."}
	return prepared, s.hosts.removable(name)
}

// Made returns the server that was made for a host, and refuses a host that has none.
func (s *Servers) Made(name string) (fleet.Server, error) {
	h, err := placement.Host(&s.checkout.Fleet, name)
	if err == nil && h.Server == (fleet.Server{}) {
		err = fault.WithHint(fmt.Errorf("%s was not made by Salvor", name), "salvor host remove "+name+" takes it out of the fleet; the server is yours to end")
	}
	return h.Server, err
}

func (s *Servers) destroy(ctx context.Context, h fleet.Host, p cloud.Provider, sink progress.Sink) (exposed.Host, error) {
	left, err := s.hosts.exposed.ByHost(ctx, h.Name)
	if err != nil {
		return left, err
	}
	files, err := s.hosts.withoutHost(h)
	if err != nil {
		return left, err
	}
	if err := away(ctx, p, cloud.Server{Server: h.Server, Host: h.Name}, sink); err != nil {
		return left, err
	}
	return s.hosts.removed(ctx, left, files, h.Name, "host destroy: "+h.Name)
}

func away(ctx context.Context, p cloud.Provider, s cloud.Server, sink progress.Sink) error {
	done := progress.Scope{Sink: sink, Host: s.Host}.Step("take away the server", s.String())
	err := p.Remove(ctx, s)
	done(err, "")
	return err
}

// PrepareTakeAway proposes to take away a server that no host has, under the name of the host
// that it was made for. The receipt is what there was of it.
func (s *Servers) PrepareTakeAway(ctx context.Context, name string, server fleet.Server, p cloud.Provider) (proposal.Proposal[cloud.Server], error) {
	found := cloud.Server{Server: server, Host: name}
	prepared := proposal.New("take away "+server.String(), func(ctx context.Context, sink progress.Sink) (cloud.Server, error) {
		return found, away(ctx, p, found, sink)
	})
	if has := s.hasServer(server); has != "" {
		return prepared, fault.WithHint(fmt.Errorf("%s is the server of the host %s", server, has), "salvor host destroy "+has)
	}
	stray, err := s.Stray(ctx, p)
	if err != nil {
		return prepared, err
	}
	i := slices.IndexFunc(stray, func(each cloud.Server) bool { return each.Server == server && each.Host == name })
	if i < 0 {
		return prepared, fault.WithHint(fmt.Errorf("%s has no server %s that was made for %s and that no host has", p.Place(), server.ID, name), "salvor doctor lists those that there are")
	}
	found = stray[i]
	prepared.Question = fmt.Sprintf("This takes away %s at %s, which no host of the fleet has: %s.", server.ID, p.Place(), found.Has())
	prepared.Name = name
	return prepared, nil
}
