package dockflare

import (
	"context"
	"errors"
	"slices"
	"strings"

	"salvor/internal/cloudflare"
	"salvor/internal/fleet"
	"salvor/internal/publish"
	"salvor/internal/route"
)

// look reads what Cloudflare has of a tunnel: its rules, the zones of their hostnames, and the
// applications.
func look(ctx context.Context, api *cloudflare.Client, tunnel cloudflare.Tunnel) (a publish.Actual, err error) {
	if a.Config, err = api.Configuration(ctx, tunnel.ID); err != nil {
		return a, err
	}
	zones, err := api.Zones(ctx)
	if err != nil {
		return a, err
	}
	for _, z := range zones {
		zone := publish.Zone{Zone: z}
		if slices.ContainsFunc(a.Config.Ingress, func(r route.Rule) bool { return r.Hostname == z.Name || strings.HasSuffix(r.Hostname, "."+z.Name) }) {
			if zone.Records, err = api.Records(ctx, z.ID); errors.Is(err, cloudflare.ErrDenied) {
				zone.Denied = err
			} else if err != nil {
				return a, err
			}
		}
		a.Zones = append(a.Zones, zone)
	}
	if a.Apps, err = api.Apps(ctx); errors.Is(err, cloudflare.ErrDenied) {
		a.AppsDenied = err
	} else if err != nil {
		return a, err
	}
	if a.Providers, err = api.Providers(ctx); err != nil && !errors.Is(err, cloudflare.ErrDenied) {
		return a, err
	}
	if a.Tokens, err = api.ServiceTokens(ctx); err != nil && !errors.Is(err, cloudflare.ErrDenied) {
		return a, err
	}
	return a, nil
}

// desired is what a host will want of the tunnel: the routes of its stacks, and its own, with
// these in addition.
func (f *Fleet) desired(host string, tunnel cloudflare.Tunnel, more []route.Route) publish.Desired {
	d := publish.Desired{Fleet: f.Declared.Name, Tunnel: tunnel, Owners: map[string]int{}}
	own := func(owner string, epoch int, routes []route.Route) {
		d.Owners[owner] = max(epoch, 1)
		for _, r := range routes {
			d.Routes = append(d.Routes, route.Owned{Owner: owner, Route: r})
		}
	}
	for name, rendered := range f.Stacks {
		p, placed := f.Lock.Placement(name)
		declared, _ := f.Declared.Stack(name)
		if placed && p.Host == host || !placed && declared.Host == host {
			own(name, p.Epoch, rendered.Project.Routes)
		}
	}
	own(fleet.Own(host), f.Lock.Hosts[host].Epoch, slices.Concat(f.Declared.Ingress.RoutesOf(host).Routes, more))
	slices.SortStableFunc(d.Routes, func(a, b route.Owned) int { return strings.Compare(a.Owner, b.Owner) })
	return d
}
