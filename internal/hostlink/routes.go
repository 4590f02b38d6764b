package hostlink

import (
	"slices"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/route"
	"salvor/internal/terminal"
)

// published keeps hostnames of what a receipt says that is live or pending.
func (a *answer) published(r *agentapi.RoutesReceipt) {
	r.Live, r.Pending, r.Why = a.hostnames(r.Live), a.hostnames(r.Pending), terminal.Line(r.Why)
}

func (a *answer) hostnames(all []string) []string {
	return slices.DeleteFunc(all, func(h string) bool {
		odd := !isHostname(h)
		if odd {
			a.refuse("the hostname %s", h)
		}
		return odd
	})
}

func isHostname(text string) bool {
	is, err := route.Hostname(text)
	return err == nil && is == text
}

// routes keeps rows of hostnames, with texts that fit on a line.
func (a *answer) routes(r *agentapi.RouteList) {
	if a.late(r.At) {
		a.refuse("a look at Cloudflare at %s", r.At.String())
		r.At = time.Time{}
	}
	r.Why, r.Tunnel = terminal.Line(r.Why), terminal.Line(r.Tunnel)
	r.Routes = slices.DeleteFunc(r.Routes, func(row agentapi.RouteRow) bool {
		odd := !isHostname(row.Hostname) || fleet.ValidKept(row.Owner) != nil || a.late(row.Until)
		if odd {
			a.refuse("the route %s of %s", row.Hostname, row.Owner)
		}
		return odd
	})
	for i := range r.Routes {
		row := &r.Routes[i]
		for _, text := range []*string{&row.Path, &row.Service, &row.Access, &row.Record, &row.Why} {
			*text = terminal.Line(*text)
		}
	}
}
