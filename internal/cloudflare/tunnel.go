package cloudflare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"salvor/internal/secret"
	"salvor/internal/terminal"
)

const tunnelsPerPage = 100

// A Tunnel leads from Cloudflare to the connectors that have its token.
type Tunnel struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Source string `json:"config_src"` // "cloudflare" where its rules are kept there, "local" for a file
}

// Target is what a DNS record of the tunnel's hostnames points to.
func (t Tunnel) Target() string { return t.ID + ".cfargotunnel.com" }

// Tunnels returns the account's tunnels of that name that were not deleted; of any name
// where it is "".
func (c *Client) Tunnels(ctx context.Context, name string) ([]Tunnel, error) {
	r := request{method: http.MethodGet, path: c.tunnels(), permission: TunnelEdit, query: url.Values{"is_deleted": {"false"}}}
	if name != "" {
		r.query.Set("name", name)
	}
	return list[Tunnel](ctx, c, r, tunnelsPerPage)
}

// Tunnel returns the tunnel of that ID; the error wraps ErrGone where it was deleted.
func (c *Client) Tunnel(ctx context.Context, id string) (Tunnel, error) {
	var found struct {
		Tunnel
		Deleted *time.Time `json:"deleted_at"` // such a tunnel is still shown
	}
	if err := c.call(ctx, request{method: http.MethodGet, path: c.tunnel(id), permission: TunnelEdit}, &found); err != nil {
		return Tunnel{}, err
	}
	if found.Deleted != nil {
		return Tunnel{}, fmt.Errorf("tunnel %s was deleted: %w", terminal.Line(found.Name), ErrGone)
	}
	return found.Tunnel, nil
}

// CreateTunnel makes a tunnel whose rules are kept at Cloudflare. A second one of a name is
// refused with ErrThere.
func (c *Client) CreateTunnel(ctx context.Context, name string) (Tunnel, error) {
	body, err := json.Marshal(struct {
		Name   string `json:"name"`
		Source string `json:"config_src"`
	}{name, "cloudflare"})
	if err != nil {
		return Tunnel{}, err
	}
	var made Tunnel
	err = c.call(ctx, request{method: http.MethodPost, path: c.tunnels(), body: body, permission: TunnelEdit}, &made)
	return made, err
}

// TunnelToken returns what a connector of the tunnel starts with. All connectors of a tunnel
// have the same.
func (c *Client) TunnelToken(ctx context.Context, id string) (secret.Value, error) {
	var token string
	if err := c.call(ctx, request{method: http.MethodGet, path: c.tunnel(id) + "/token", permission: TunnelEdit}, &token); err != nil {
		return secret.Value{}, err
	}
	if token == "" {
		return secret.Value{}, errors.New("the tunnel's token is empty")
	}
	return secret.NewString(token), nil
}

// A Connector is a program that serves a tunnel, as Cloudflare sees it.
type Connector struct {
	ID          string    `json:"id"`
	Version     string    `json:"version"`
	Since       time.Time `json:"run_at"`
	Connections []struct {
		Colo    string `json:"colo_name"`
		Pending bool   `json:"is_pending_reconnect"`
	} `json:"conns"`
	ConfigVersion int `json:"config_version"`
}

// Connectors returns the connectors that are connected now.
func (c *Client) Connectors(ctx context.Context, tunnel string) ([]Connector, error) {
	var all []Connector
	err := c.call(ctx, request{method: http.MethodGet, path: c.tunnel(tunnel) + "/connections", permission: TunnelEdit}, &all)
	return all, err
}

// Configuration returns the rules of a tunnel.
func (c *Client) Configuration(ctx context.Context, tunnel string) (Configuration, error) {
	return c.configuration(ctx, request{method: http.MethodGet, path: c.tunnel(tunnel) + "/configurations", permission: TunnelEdit})
}

// SetConfiguration replaces the rules of a tunnel and returns what Cloudflare made of them,
// with their new version. Cloudflare compares nothing: what another program wrote since the
// configuration was read is lost. So read it just before.
func (c *Client) SetConfiguration(ctx context.Context, tunnel string, want Configuration) (Configuration, error) {
	content, err := want.encode()
	if err != nil {
		return Configuration{}, err
	}
	body := append(append([]byte(`{"config":`), content...), '}')
	return c.configuration(ctx, request{method: http.MethodPut, path: c.tunnel(tunnel) + "/configurations", body: body, permission: TunnelEdit})
}

func (c *Client) configuration(ctx context.Context, r request) (Configuration, error) {
	var answer struct {
		Version int             `json:"version"`
		Config  json.RawMessage `json:"config"`
	}
	if err := c.call(ctx, r, &answer); err != nil {
		return Configuration{}, err
	}
	config, err := parseConfiguration(answer.Config)
	if err != nil {
		return Configuration{}, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	config.Version = answer.Version
	return config, nil
}

func (c *Client) tunnels() string { return "/accounts/" + c.account + "/cfd_tunnel" }

func (c *Client) tunnel(id string) string { return c.tunnels() + "/" + url.PathEscape(id) }
