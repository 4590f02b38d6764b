package cloudflaretest

import "slices"

// A Person changes tunnels at the dashboard.
type Person struct{ Server *Server }

// DeleteTunnel deletes a tunnel.
func (p Person) DeleteTunnel(id string) {
	s := p.Server
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.tunnel(id)
	s.deleted = append(s.deleted, s.tunnels[i])
	s.tunnels = slices.Delete(s.tunnels, i, i+1)
}

// KeepLocally has a tunnel's rules be in a file of its connector's.
func (p Person) KeepLocally(id string) {
	p.Server.mu.Lock()
	defer p.Server.mu.Unlock()
	p.Server.tunnels[p.Server.tunnel(id)].local = true
}
