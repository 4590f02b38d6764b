package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"salvor/internal/terminal"
)

// A Permission is what a token must have, as the dashboard calls it.
type Permission string

// The permissions. Source: developers.cloudflare.com/fundamentals/api/reference/permissions.
const (
	ZoneRead          Permission = "Zone: Zone: Read"
	DNSEdit           Permission = "Zone: DNS: Edit"
	TunnelEdit        Permission = "Account: Cloudflare Tunnel: Edit"
	AppsEdit          Permission = "Account: Access: Apps and Policies: Edit"
	ProvidersRead     Permission = "Account: Access: Organizations, Identity Providers, and Groups: Read"
	ServiceTokensRead Permission = "Account: Access: Service Tokens: Read"
	noPermission      Permission = "" // of what every token may do
)

// VerifyToken returns an error that wraps ErrToken where the token is not active. A token of
// the account is asked for at the account, which a user's token is not known to.
func (c *Client) VerifyToken(ctx context.Context) error {
	var err error
	for _, path := range []string{"/accounts/" + c.account + "/tokens/verify", "/user/tokens/verify"} {
		var token struct {
			Status string `json:"status"`
		}
		err = c.call(ctx, request{method: http.MethodGet, path: path, permission: noPermission}, &token)
		if err == nil && token.Status != "active" {
			return fmt.Errorf("%w: it is %s", ErrToken, terminal.Line(token.Status))
		}
		if err == nil || errors.Is(err, ErrAway) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrToken, err)
}

// Missing asks once for each of the permissions and returns those that the token lacks. That
// a token may look where it needs to write too is only seen when it writes.
func (c *Client) Missing(ctx context.Context, needed []Permission, zones []string) ([]Permission, error) {
	var missing []Permission
	for _, p := range needed {
		switch lacks, err := c.lacks(ctx, p, zones); {
		case err != nil:
			return nil, err
		case lacks:
			missing = append(missing, p)
		}
	}
	return missing, nil
}

func (c *Client) lacks(ctx context.Context, p Permission, zones []string) (bool, error) {
	for _, path := range c.probes(p, zones) {
		err := c.call(ctx, request{method: http.MethodGet, path: path, query: url.Values{"per_page": {"5"}}, permission: p}, nil)
		if errors.Is(err, ErrDenied) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// probes are the paths that only a token with the permission may read.
func (c *Client) probes(p Permission, zones []string) []string {
	switch p {
	case ZoneRead:
		return []string{"/zones"}
	case TunnelEdit:
		return []string{c.tunnels()}
	case AppsEdit:
		return []string{c.access("apps")}
	case ProvidersRead:
		return []string{c.access("identity_providers")}
	case ServiceTokensRead:
		return []string{c.access("service_tokens")}
	case DNSEdit:
		var paths []string
		for _, zone := range zones {
			paths = append(paths, "/zones/"+url.PathEscape(zone)+"/dns_records")
		}
		return paths
	}
	return nil
}

// gone makes an error of what does not exist a success, for what was to be removed.
func gone(err error) error {
	if errors.Is(err, ErrGone) {
		return nil
	}
	return err
}

// there makes an error of what exists a success, for what was to be made.
func there(err error) error {
	if errors.Is(err, ErrThere) {
		return nil
	}
	return err
}
