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

// RenewToken makes another token for a tunnel's connectors.
func (p Person) RenewToken(id string) {
	p.change(id, func(t *tunnel) { t.renewals++ })
}

// KeepLocally has a tunnel's rules be in a file of its connector's.
func (p Person) KeepLocally(id string) {
	p.change(id, func(t *tunnel) { t.local = true })
}

// Token returns what a tunnel's connectors start with.
func (p Person) Token(id string) (token string) {
	p.change(id, func(t *tunnel) { token = t.token() })
	return token
}

func (p Person) change(id string, change func(*tunnel)) {
	s := p.Server
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.tunnels[s.tunnel(id)])
}
