package tunnel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/cloudflare"
	"salvor/internal/finding"
	"salvor/internal/route"
)

// Permissions returns a finding for each permission that the token lacks to publish the routes,
// or one for a token that Cloudflare does not take at all. It costs a call for each permission
// and zone, so ask when something was refused.
func Permissions(ctx context.Context, api *cloudflare.Client, routes []route.Owned) ([]finding.Finding, error) {
	if err := api.VerifyToken(ctx); errors.Is(err, cloudflare.ErrToken) {
		return []finding.Finding{warn(finding.TokenLacks, "ingress.token", err.Error(), "make a token at Cloudflare's dashboard, then salvor secret set with the name in fleet.yaml")}, nil
	} else if err != nil {
		return nil, err
	}
	zones, err := api.Zones(ctx)
	if err != nil && !errors.Is(err, cloudflare.ErrDenied) {
		return nil, err
	}
	missing, err := api.Missing(ctx, needed(routes), used(zones, routes))
	if err != nil {
		return nil, err
	}
	var found []finding.Finding
	for _, p := range missing {
		found = append(found, warn(finding.TokenLacks, "ingress.token", fmt.Sprintf("the token for Cloudflare lacks the permission %q", p), "add it to the token at Cloudflare's dashboard"))
	}
	return found, nil
}

// needed are the permissions without which not all of the routes can be published.
func needed(routes []route.Owned) []cloudflare.Permission {
	all := []cloudflare.Permission{cloudflare.TunnelEdit, cloudflare.ZoneRead, cloudflare.DNSEdit}
	add := func(p cloudflare.Permission) {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	for _, o := range routes {
		access := o.Route.Access
		if access == nil {
			continue
		}
		add(cloudflare.AppsEdit)
		if len(access.Providers) > 0 {
			add(cloudflare.ProvidersRead)
		}
		for _, p := range access.Policies {
			for _, m := range slices.Concat(p.Include, p.Require, p.Exclude) {
				if m.Provider != "" {
					add(cloudflare.ProvidersRead)
				}
				if m.Token != "" {
					add(cloudflare.ServiceTokensRead)
				}
			}
		}
	}
	return all
}

// used are the IDs of the zones that contain a hostname of the routes.
func used(zones []cloudflare.Zone, routes []route.Owned) []string {
	var ids []string
	for _, z := range zones {
		contains := func(o route.Owned) bool {
			return o.Route.Hostname == z.Name || strings.HasSuffix(o.Route.Hostname, "."+z.Name)
		}
		if slices.ContainsFunc(routes, contains) {
			ids = append(ids, z.ID)
		}
	}
	return ids
}
