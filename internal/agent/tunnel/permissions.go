package tunnel

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	var apps, providers, tokens bool
	for _, o := range routes {
		p, t := o.Route.Access.Names()
		apps, providers, tokens = apps || o.Route.Access != nil, providers || p, tokens || t
	}
	if apps {
		all = append(all, cloudflare.AppsEdit)
	}
	if providers {
		all = append(all, cloudflare.ProvidersRead)
	}
	if tokens {
		all = append(all, cloudflare.ServiceTokensRead)
	}
	return all
}

// used are the IDs of the zones that contain a hostname of the routes.
func used(zones []cloudflare.Zone, routes []route.Owned) []string {
	var ids []string
	for _, z := range zones {
		if slices.ContainsFunc(routes, func(o route.Owned) bool { return z.Contains(o.Route.Hostname) }) {
			ids = append(ids, z.ID)
		}
	}
	return ids
}
