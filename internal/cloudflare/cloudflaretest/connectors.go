package cloudflaretest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"
)

// A ConnectorToken is what a tunnel's token has in it: base64 of this JSON.
type ConnectorToken struct {
	Account string `json:"a"`
	Tunnel  string `json:"t"`
	Secret  string `json:"s"` // base64
}

// ParseConnectorToken reads a tunnel's token.
func ParseConnectorToken(text string) (ConnectorToken, error) {
	var t ConnectorToken
	content, err := base64.StdEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(content, &t)
	}
	if err != nil || t.Account == "" || t.Tunnel == "" || t.Secret == "" {
		return t, errors.New("the token of the tunnel is not valid")
	}
	return t, nil
}

func (t ConnectorToken) String() string {
	content, _ := json.Marshal(t) // strings can be encoded
	return base64.StdEncoding.EncodeToString(content)
}

// ConnectorToken returns the token of a tunnel.
func (s *Server) ConnectorToken(tunnel string) ConnectorToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tunnels[s.tunnel(tunnel)].token()
}

func (t *tunnel) token() ConnectorToken { return ConnectorToken{Account, t.id, t.secret} }

// RenewToken gives a tunnel another token, as a person does at the dashboard. Connectors that are
// connected stay.
func (s *Server) RenewToken(tunnel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tunnels[s.tunnel(tunnel)]
	t.secret = base64.StdEncoding.EncodeToString([]byte("secret " + s.id() + " of " + t.id))
}

// An Edge is what Cloudflare's edge knows of an account.
type Edge struct{ api *Server }

// EdgeOf returns the edge of an account. From now on its API lists the connections that
// connected returns, which may not use the server, for each tunnel.
func EdgeOf(api *Server, connected func(tunnel string) []Connection) Edge {
	api.mu.Lock()
	defer api.mu.Unlock()
	api.connected = connected
	return Edge{api}
}

// Admits reports whether connectors with the token are let in.
func (e Edge) Admits(token ConnectorToken) bool {
	e.api.mu.Lock()
	defer e.api.mu.Unlock()
	i := e.api.tunnel(token.Tunnel)
	return i >= 0 && e.api.tunnels[i].token() == token
}

// A Connection is one of a connector to the edge.
type Connection struct {
	Connector string // ID
	Version   string // of the program
	Since     time.Time
	Config    int // number of the configuration that it has
}

// Sent returns the newest configuration of a tunnel with its number, which is 0 before the
// first, and a channel that is closed when there is a newer one.
func (e Edge) Sent(tunnel string) (version int, config json.RawMessage, newer <-chan struct{}) {
	e.api.mu.Lock()
	defer e.api.mu.Unlock()
	t := e.api.tunnels[e.api.tunnel(tunnel)]
	return len(t.versions), t.last(), t.newer
}

// An Entry is what the edge makes of a visitor's request.
type Entry struct {
	Tunnel   string // where the hostname's record leads, "" for nowhere
	Verdict  Verdict
	Audience string // of the application that is responsible, "" for none
}

// Enter decides on a request as the edge does: DNS, then Access.
func (e Edge) Enter(hostname, path string, v Visitor) Entry {
	e.api.mu.Lock()
	defer e.api.mu.Unlock()
	var entry Entry
	if t := e.resolve(hostname); t != nil {
		entry.Tunnel = t.id
	}
	a := e.guard(hostname, path)
	if entry.Verdict = a.verdict(v); a != nil {
		entry.Audience = "aud-" + a.id
	}
	return entry
}
