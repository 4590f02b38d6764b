package publishing

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/cloudflare"
	"salvor/internal/finding"
	"salvor/internal/hostpath"
	"salvor/internal/publish"
	"salvor/internal/route"
)

// keep notes how a pass ended, for the other processes of this host.
func (d *Daemon) keep(ctx context.Context, host string, w want, report publish.Report, failed error) {
	if failed == nil {
		d.report = report
		d.result = agentapi.RouteList{Schema: agentapi.Schema, At: time.Now().UTC(), Tunnel: w.Tunnel.Name, Version: report.Version, Connector: report.Has}
	}
	d.result.Why = here.ErrorText(failed)
	d.result.Findings = slices.Concat(d.report.Findings, d.troubles(ctx, w, failed))
	for i, f := range d.result.Findings {
		d.result.Findings[i].Subject = host + "/" + f.Subject
	}
	d.result.Routes = rows(w, d.report, d.result.Why)
	if err := here.WriteJSON(hostpath.PublishingOf(d.h.Paths).Seen, d.result); err != nil {
		d.h.Trouble("routes", err) // what is published is as it should be
	}
}

// troubles are what is wrong with the tunnel and the token.
func (d *Daemon) troubles(ctx context.Context, w want, failed error) []finding.Finding {
	found, err := d.tunnel.Findings(ctx, w.Routes)
	if err != nil {
		d.h.Trouble("tunnel", err)
	}
	if d.at == nil || !errors.Is(failed, cloudflare.ErrDenied) && !errors.Is(failed, cloudflare.ErrToken) {
		return found
	}
	lacks, err := d.tunnel.Permissions(ctx, d.at.api, w.Routes)
	if err != nil {
		d.h.Trouble("routes", err)
	}
	return append(found, lacks...)
}

// rows says of each declared route what there is of it.
func rows(w want, report publish.Report, failed string) []agentapi.RouteRow {
	var all []agentapi.RouteRow
	for _, one := range w.declared {
		state := report.States[one.Route.Key()]
		row := agentapi.RouteRow{
			Hostname: one.Route.Hostname, Path: one.Route.Path, Owner: one.Owner, Service: one.Route.Service,
			Rule: state.Rule, Record: state.Record, Guarded: state.Guarded, Until: one.until, Why: cmp.Or(one.why, one.Route.Closed),
		}
		if one.Route.Access != nil {
			row.Access = one.Route.App()
		}
		row.Wanted = row.Why == ""
		if row.Live = row.Wanted && state.Live; row.Wanted && !row.Live {
			row.Why = notLive(one.Owned, state, report, failed)
		}
		all = append(all, row)
	}
	slices.SortFunc(all, func(a, b agentapi.RouteRow) int {
		return cmp.Or(cmp.Compare(a.Hostname, b.Hostname), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Owner, b.Owner))
	})
	return all
}

// notLive says why a route that is wanted is not live.
func notLive(o route.Owned, state publish.State, report publish.Report, failed string) string {
	for _, f := range report.Findings {
		if f.Subject == o.Route.Hostname || f.Subject == o.Route.Key().String() {
			return f.Text
		}
	}
	switch {
	case failed != "":
		return failed
	case state.Rule:
		return "the connector does not have its rule yet"
	}
	return "Cloudflare does not have it yet"
}

// Seen returns the routes as the daemon saw them last. Where it saw none since the last boot,
// they are those that the host is asked to publish.
func Seen(h *here.Host) agentapi.RouteList {
	var list agentapi.RouteList
	if here.ReadJSON(hostpath.PublishingOf(h.Paths).Seen, &list) == nil {
		return list
	}
	list = agentapi.RouteList{Schema: agentapi.Schema}
	spec, err := h.ReadSpec()
	if err != nil {
		return list
	}
	var w want
	for _, o := range spec.Routes() {
		w.declared = append(w.declared, declared{Owned: o, why: "the host has not looked at Cloudflare since its last boot"})
	}
	list.Routes = rows(w, publish.Report{}, "")
	return list
}

// silence is how long a host may not look at Cloudflare before that is worth a finding.
const silence = 10 * time.Minute

// Findings are what is wrong with a host's public hostnames.
func Findings(h *here.Host, spec agentapi.Host, now time.Time) []finding.Finding {
	if spec.Ingress == nil && readPublished(h) == nil {
		return nil
	}
	list := Seen(h)
	all := list.Findings
	why := list.Why
	named := slices.ContainsFunc(all, func(f finding.Finding) bool { return f.Code == finding.TokenLacks || f.Code == finding.TunnelUnusable })
	if named {
		return all // that is why
	}
	if why == "" && !list.At.IsZero() && now.Sub(list.At) > silence {
		why = "salvord does not run, or is kept from it"
	}
	if why != "" {
		text := "its public hostnames stay as they are: " + why
		if !list.At.IsZero() {
			text += "; it looked at Cloudflare last at " + list.At.Format(time.RFC3339)
		}
		all = append(all, finding.Finding{Code: finding.RoutesLate, Severity: finding.Warning, Subject: spec.Name, Text: text,
			Fix: "the host tries again; where the token was refused: salvor secret set, then salvor apply"})
	}
	return all
}

// Kept is the change that an apply makes where the brake keeps hostnames that are not wanted
// any more: it has shown them then.
func Kept(h *here.Host) []agentapi.Change {
	for _, f := range Seen(h).Findings {
		if f.Code == finding.RoutesKept {
			return []agentapi.Change{{ID: "hostnames", Action: "-", Cause: f.Text + "; an apply does it"}}
		}
	}
	return nil
}
