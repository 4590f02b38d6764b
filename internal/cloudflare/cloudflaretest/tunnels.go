package cloudflaretest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

type tunnel struct {
	id, name string
	secret   string // of its connectors, base64
	versions []version
	newer    chan struct{} // closed with the next version
	lag      time.Duration
	down     bool
	local    bool // its rules are in a file
}

// A version is a tunnel's configuration, and when connectors were sent it.
type version struct {
	members []memberOf
	rules   []Rule
	at      time.Time
}

// memberOf is one member of a configuration with its bytes.
type memberOf struct {
	name  string
	value json.RawMessage
}

// AddTunnel makes a tunnel with a connector that has each configuration after lag, and
// returns the tunnel's ID.
func (s *Server) AddTunnel(name string, lag time.Duration) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addTunnel(name, lag).id
}

func (s *Server) addTunnel(name string, lag time.Duration) *tunnel {
	n := s.id()
	t := &tunnel{id: fmt.Sprintf("%s-%s-%s-%s-%s", n[:8], n[8:12], n[12:16], n[16:20], n[20:]), name: name, lag: lag, newer: make(chan struct{})}
	t.secret = base64.StdEncoding.EncodeToString([]byte("secret of " + t.id))
	s.tunnels = append(s.tunnels, t)
	return t
}

// Disconnect takes the connector of a tunnel away, or brings it back.
func (s *Server) Disconnect(id string, down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tunnels[s.tunnel(id)].down = down
}

// Configuration returns a tunnel's configuration as its bytes.
func (s *Server) Configuration(id string) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tunnels[s.tunnel(id)].last()
}

// Rules returns the bytes of a tunnel's rules.
func (s *Server) Rules(id string) []json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tunnels[s.tunnel(id)]
	if len(t.versions) == 0 {
		return nil
	}
	return rulesOf(t.versions[len(t.versions)-1].members)
}

// EditConfiguration sets a tunnel's configuration, as a person does at the dashboard; an
// error where the API would refuse it.
func (s *Server) EditConfiguration(id string, config json.RawMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.tunnels[s.tunnel(id)].put([]byte(`{"config":` + string(config) + `}`)); a.status != http.StatusOK {
		return fmt.Errorf("%s", a.errors[0].Message)
	}
	return nil
}

func (s *Server) tunnel(id string) int {
	return slices.IndexFunc(s.tunnels, func(t *tunnel) bool { return t.id == id })
}

func (s *Server) tunnelCall(r *http.Request, body []byte, parts []string) answer {
	if len(parts) == 0 {
		if r.Method == http.MethodPost {
			return s.createTunnel(body)
		}
		var all []map[string]any
		for _, t := range s.tunnels {
			if name := r.URL.Query().Get("name"); name == "" || name == t.name {
				all = append(all, t.shown())
			}
		}
		return page(r, all, 1000)
	}
	if len(parts) == 1 && r.Method == http.MethodGet {
		return shownTunnel(s, parts[0])
	}
	i := s.tunnel(parts[0])
	if i < 0 || len(parts) != 2 {
		return noRoute(strings.Join(parts, "/"))
	}
	t := s.tunnels[i]
	switch {
	case parts[1] == "token" && r.Method == http.MethodGet:
		return succeed(t.token().String())
	case parts[1] == "connections" && r.Method == http.MethodGet:
		if s.connected != nil {
			return listed(s.connected(t.id))
		}
		return listed(t.connections())
	case parts[1] == "configurations" && r.Method == http.MethodGet:
		return t.get()
	case parts[1] == "configurations" && r.Method == http.MethodPut:
		return t.put(body)
	}
	return notAllowed()
}

// shownTunnel is one tunnel, also one that was deleted.
func shownTunnel(s *Server, id string) answer {
	if i := s.tunnel(id); i >= 0 {
		return succeed(s.tunnels[i].shown())
	}
	for _, t := range s.deleted {
		if t.id == id {
			shown := t.shown()
			shown["deleted_at"] = time.Now().UTC()
			return succeed(shown)
		}
	}
	return noRoute(id)
}

func (t *tunnel) shown() map[string]any {
	source := "cloudflare"
	if t.local {
		source = "local"
	}
	return map[string]any{"id": t.id, "name": t.name, "config_src": source, "remote_config": !t.local}
}

func (s *Server) createTunnel(body []byte) answer {
	var ask struct {
		Name   string `json:"name"`
		Source string `json:"config_src"`
	}
	if json.Unmarshal(body, &ask) != nil || ask.Name == "" || ask.Source != "cloudflare" {
		return refuse(http.StatusBadRequest, 1002, "Tunnel name is required")
	}
	if slices.ContainsFunc(s.tunnels, func(t *tunnel) bool { return t.name == ask.Name }) {
		return refuse(http.StatusConflict, 1013, "You already have a tunnel with this name. Delete the existing tunnel, or choose a different name for your new tunnel")
	}
	return succeed(s.addTunnel(ask.Name, 0).shown())
}

// listed lists connectors, each with its connections.
func listed(connections []Connection) answer {
	all := []map[string]any{}
	for _, c := range connections {
		conn := map[string]any{"colo_name": "fra01", "is_pending_reconnect": false}
		if i := slices.IndexFunc(all, func(other map[string]any) bool { return other["id"] == c.Connector }); i >= 0 {
			all[i]["conns"] = append(all[i]["conns"].([]map[string]any), conn)
			continue
		}
		all = append(all, map[string]any{"id": c.Connector, "version": c.Version, "run_at": c.Since.UTC(), "config_version": c.Config, "conns": []map[string]any{conn}})
	}
	return succeed(all)
}

// connections are those of the connector that AddTunnel makes.
func (t *tunnel) connections() []Connection {
	if t.down {
		return nil
	}
	n, _ := t.live()
	return []Connection{{Connector: "connector-" + t.id, Version: "2026.8.0", Since: time.Now(), Config: n}}
}

func (t *tunnel) get() answer {
	return succeed(json.RawMessage(fmt.Sprintf(`{"tunnel_id":%q,"version":%d,"config":%s,"source":"cloudflare"}`, t.id, len(t.versions), t.last())))
}

// last returns the newest configuration, null before the first.
func (t *tunnel) last() json.RawMessage {
	if len(t.versions) == 0 {
		return json.RawMessage("null")
	}
	out := []byte{'{'}
	for i, m := range t.versions[len(t.versions)-1].members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(fmt.Appendf(out, "%q:", m.name), m.value...)
	}
	return append(out, '}')
}

// put replaces the configuration as the API does: checked, with what it adds to each rule.
func (t *tunnel) put(body []byte) answer {
	bad := func(message string) answer {
		return refuse(http.StatusBadRequest, 1056, "Bad Configuration: Validation failed: "+message)
	}
	var ask struct {
		Config json.RawMessage `json:"config"`
	}
	if json.Unmarshal(body, &ask) != nil || ask.Config == nil {
		return refuse(http.StatusBadRequest, 1002, "Request body is invalid.")
	}
	members, err := membersOf(ask.Config)
	if err != nil {
		return bad(err.Error())
	}
	i := slices.IndexFunc(members, func(m memberOf) bool { return m.name == "ingress" })
	if i >= 0 {
		if members[i].value, err = checkedRules(members[i].value); err != nil {
			return bad(err.Error())
		}
	}
	if !slices.ContainsFunc(members, func(m memberOf) bool { return m.name == "warp-routing" }) {
		members = append(members, memberOf{"warp-routing", json.RawMessage(`{"enabled":false}`)})
	}
	v := version{members: members, at: time.Now()}
	for _, raw := range rulesOf(members) {
		var r Rule
		_ = json.Unmarshal(raw, &r) // it was checked above
		v.rules = append(v.rules, r)
	}
	t.versions = append(t.versions, v)
	close(t.newer)
	t.newer = make(chan struct{})
	return t.get()
}

// live returns the number of the configuration that the connector has, and its rules.
func (t *tunnel) live() (int, []Rule) {
	for n := len(t.versions); n > 0; n-- {
		if time.Since(t.versions[n-1].at) >= t.lag {
			return n, t.versions[n-1].rules
		}
	}
	return 0, nil
}

func rulesOf(members []memberOf) []json.RawMessage {
	var rules []json.RawMessage
	for _, m := range members {
		if m.name == "ingress" {
			_ = json.Unmarshal(m.value, &rules) // it was checked when it was set
		}
	}
	return rules
}
