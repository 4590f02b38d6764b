package recovery

import (
	"fmt"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/placement"
)

// movable are the routes of the lost host itself that go to another host. They go with its stacks,
// unless only some were asked for.
func (r *recovery) movable() []fleet.HostRoute {
	own := fleet.Own(r.Lost)
	if r.replaces() || slices.Contains(r.Without, own) || len(r.Only) > 0 && !slices.Contains(r.Only, own) {
		return nil
	}
	return r.fleet.Fleet().Ingress.At(r.Lost)
}

// placeRoutes has one of the hosts that take over serve the routes: the first that publishes
// anyway, so that no other one gets the token for it, or else the first.
func (r *recovery) placeRoutes() {
	if r.routes = r.movable(); len(r.routes) == 0 {
		return
	}
	hosts := r.hosts()
	r.heir = hosts[max(slices.IndexFunc(hosts, func(host string) bool { return r.fleet.Fleet().Publishes(r.next, host) }), 0)]
	r.next = placement.OutdateOwn(r.next, r.Lost)
}

// moveRoutes adds to files what says that the routes moved.
func (r *recovery) moveRoutes(files map[string][]byte) error {
	to := r.heir
	if r.replaces() {
		to = r.Lost
	}
	if to == "" {
		return nil
	}
	err := r.fleet.MoveRoutes(r.Lost, to, files)
	if err != nil && !r.replaces() {
		err = fault.WithHint(err, fmt.Sprintf("salvor recover %s --without %s continues with the rest", r.Lost, fleet.Own(r.Lost)))
	}
	return err
}

// itsTunnels are those of which the lost machine may have the token. After a recovery that was
// interrupted the lock has the epoch of the machine that replaces it.
func (r *recovery) itsTunnels() []string {
	epoch := r.fleet.Lock().Hosts[r.Lost].Epoch
	if r.resumed() && r.replaces() {
		epoch--
	}
	return r.fleet.Fleet().TunnelsOf(r.Lost, epoch)
}

// routed says which host serves the routes of the lost one from now on, and what it has to
// reach; "" where none moves.
func (r *recovery) routed() string {
	if len(r.routes) == 0 {
		return ""
	}
	var services []string
	for _, one := range r.routes {
		services = append(services, one.Service)
	}
	return fmt.Sprintf("note: %s serves %s, which %s did; it has to reach %s\n", r.heir, hostnames(r.routes), r.Lost, list(services))
}

// message is that of the commit of routes alone, "" where stacks move.
func (r *recovery) message() string {
	if len(r.moves) > 0 || len(r.routes) == 0 {
		return ""
	}
	return fmt.Sprintf("recover: routes of %s on %s", r.Lost, r.heir)
}

// fenced is the host that may run stacks which are taken from it, "" where only routes move.
func (r *recovery) fenced() string {
	if len(r.moves) == 0 && !r.resumed() {
		return ""
	}
	return r.Lost
}

func hostnames(routes []fleet.HostRoute) string {
	var all []string
	for _, one := range routes {
		all = append(all, one.Hostname)
	}
	return list(all)
}

func list(all []string) string {
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(all))), ", ")
}
