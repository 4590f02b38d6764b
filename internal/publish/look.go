package publish

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"salvor/internal/cloudflare"
	"salvor/internal/route"
)

// all reads what Cloudflare has; the rules last, which are the first to be written.
func (l *look) all(ctx context.Context) error {
	sent, err := l.p.Sent.Load()
	if err != nil {
		return err
	}
	l.a.Sent, l.a.Tried = map[string]bool{}, Tried{Apps: map[string]error{}, Records: map[string]error{}}
	for _, h := range sent {
		l.a.Sent[h] = true
	}
	for _, read := range []func(context.Context) error{l.zones, l.names, l.records, l.apps, l.config} {
		if err := read(ctx); err != nil {
			return err
		}
	}
	if n, err := l.p.Connector.Version(ctx); err == nil {
		l.a.Live = n
	}
	return nil
}

// zones reads which zones there are, if that was long ago or one is missing.
func (l *look) zones(ctx context.Context) error {
	known := Actual{Zones: l.shown(l.p.zones)}
	missing := slices.ContainsFunc(l.d.Routes, func(o route.Owned) bool { return known.zone(o.Route.Hostname, o.Route.Zone) < 0 })
	age := time.Since(l.p.zonesRead)
	if age < zonesAge && (!missing || age < namesAge) {
		return nil
	}
	zones, err := l.p.API.Zones(ctx)
	if err != nil {
		return err
	}
	l.p.zones, l.p.zonesRead, l.p.useful = zones, time.Now(), nil
	return nil
}

func (l *look) shown(zones []cloudflare.Zone) []Zone {
	var all []Zone
	for _, z := range zones {
		all = append(all, Zone{Zone: z})
	}
	return all
}

// names reads the identity providers and service tokens that policies name, if one is
// missing among those that are known. What the token may not read has no names.
func (l *look) names(ctx context.Context) error {
	providers, tokens := names(l.d.Routes)
	if time.Since(l.p.namesRead) >= namesAge && (providers || tokens) && l.unresolved() {
		l.p.namesRead = time.Now()
		var err error
		if providers {
			if l.p.providers, err = l.p.API.Providers(ctx); err != nil && !errors.Is(err, cloudflare.ErrDenied) {
				return err
			}
		}
		if tokens {
			if l.p.tokens, err = l.p.API.ServiceTokens(ctx); err != nil && !errors.Is(err, cloudflare.ErrDenied) {
				return err
			}
		}
	}
	l.a.Providers, l.a.Tokens = l.p.providers, l.p.tokens
	return nil
}

// unresolved reports whether a route's access names something that is not known.
func (l *look) unresolved() bool {
	known := Actual{Providers: l.p.providers, Tokens: l.p.tokens}
	return slices.ContainsFunc(l.d.Routes, func(o route.Owned) bool {
		if o.Route.Access == nil || len(o.Route.Access.Policies) == 0 {
			return false
		}
		_, err := wantedApp(l.d, known, o)
		return err != nil
	})
}

// records reads the zones that have a hostname that is wanted, or had one of this host's
// owners, or may have one that this host has sent rules for: whose those rules are, the
// hostname's record says. It reads all of them where that is not known.
func (l *look) records(ctx context.Context) error {
	all := Actual{Zones: l.shown(l.p.zones)}
	wanted := map[int]bool{}
	for _, o := range l.d.Routes {
		wanted[all.zone(o.Route.Hostname, o.Route.Zone)] = true
	}
	for i, z := range all.Zones {
		wanted[i] = wanted[i] || anyIn(z, l.a.Sent)
	}
	useful := map[string]bool{}
	marks := l.d.marks()
	if !maps.Equal(l.p.owners, l.d.Owners) {
		l.p.owners, l.p.useful = maps.Clone(l.d.Owners), nil
	}
	l.a.Zones = nil
	for i, z := range all.Zones {
		if l.p.useful == nil || wanted[i] || l.p.useful[z.ID] {
			if err := l.zone(ctx, &z); err != nil {
				return err
			}
		}
		useful[z.ID] = slices.ContainsFunc(z.Records, func(r cloudflare.Record) bool {
			m, marked := parseMark(r.Comment)
			return marked && l.d.whose(marks, m) == ours
		})
		l.a.Zones = append(l.a.Zones, z)
	}
	l.p.useful = useful
	l.old.records = false
	return nil
}

// anyIn reports whether a zone contains one of the hostnames.
func anyIn(z Zone, hostnames map[string]bool) bool {
	for h := range hostnames {
		if z.Contains(h) {
			return true
		}
	}
	return false
}

// zone reads a zone's records. One that is gone since the zones were read keeps no other from
// being published; the next pass reads the zones again.
func (l *look) zone(ctx context.Context, z *Zone) (err error) {
	z.Records, err = l.p.API.Records(ctx, z.ID)
	gone := errors.Is(err, cloudflare.ErrGone)
	if gone {
		l.p.zonesRead = time.Time{}
	}
	if gone || errors.Is(err, cloudflare.ErrDenied) {
		z.Denied = err
		return nil
	}
	return err
}

func (l *look) apps(ctx context.Context) (err error) {
	l.a.Apps, l.a.AppsDenied = nil, nil
	if l.a.Apps, err = l.p.API.Apps(ctx); errors.Is(err, cloudflare.ErrDenied) {
		l.a.AppsDenied, err = err, nil
	}
	l.old.apps = false
	return err
}

func (l *look) config(ctx context.Context) (err error) {
	l.a.Config, err = l.p.API.Configuration(ctx, l.d.Tunnel.ID)
	l.old.config = false
	return err
}
