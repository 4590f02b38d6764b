package publishing

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/hostpath"
)

// An Announcement is what an apply has said to the daemon: these stacks are deployed now, so
// their routes are to be live when their containers are.
type Announcement struct {
	h    *here.Host
	spec agentapi.Host
	end  context.CancelFunc
	done chan struct{}
}

// Announce begins an announcement of all that the host is to run. It waits for nothing, and
// says nothing where the host neither publishes nor did. End it.
func Announce(ctx context.Context, h *here.Host, spec agentapi.Host) *Announcement {
	if spec.Ingress == nil && readPublished(h) == nil {
		return nil
	}
	var stacks []string
	for _, st := range spec.Stacks {
		if !st.Stopped && !st.Kept {
			stacks = append(stacks, st.Name)
		}
	}
	ctx, end := context.WithCancel(ctx)
	a := &Announcement{h, spec, end, make(chan struct{})}
	go func() {
		defer close(a.done)
		announce(ctx, h, stacks)
	}()
	return a
}

// Finish ends the announcement after an apply that went well, with what of the host's hostnames
// is live in its receipt.
func (a *Announcement) Finish(ctx context.Context, receipt *agentapi.HostReceipt) {
	if a == nil {
		return
	}
	defer a.End()
	began := time.Now().UTC()
	receipt.Routes = a.settle(ctx)
	receipt.Phases = append(receipt.Phases, agentapi.Phase{Name: "routes", Began: began, Ended: time.Now().UTC()})
}

// End ends the announcement. It may be called twice, and on none.
func (a *Announcement) End() {
	if a != nil {
		a.end()
		<-a.done
	}
}

// settle has the daemon do what the apply has shown, waits for it a while, and says what of
// the host's hostnames is live.
func (a *Announcement) settle(ctx context.Context) *agentapi.RoutesReceipt {
	list, err := settle(ctx, a.h)
	if err != nil {
		return &agentapi.RoutesReceipt{Pending: hostnames(a.spec), Why: err.Error()}
	}
	pending, all := map[string]bool{}, []string{}
	for _, row := range list.Routes {
		if row.Wanted {
			all = append(all, row.Hostname)
			pending[row.Hostname] = pending[row.Hostname] || !row.Live
		}
	}
	receipt := &agentapi.RoutesReceipt{Why: list.Why}
	for _, hostname := range sorted(all) {
		if pending[hostname] {
			receipt.Pending = append(receipt.Pending, hostname)
		} else {
			receipt.Live = append(receipt.Live, hostname)
		}
	}
	return receipt
}

// hostnames are those that a host is to publish, as far as its spec says.
func hostnames(spec agentapi.Host) []string {
	stopped := map[string]bool{}
	for _, st := range spec.Stacks {
		stopped[st.Name] = st.Stopped
	}
	var all []string
	for _, o := range spec.Routes() {
		if o.Route.Closed == "" && !stopped[o.Owner] {
			all = append(all, o.Route.Hostname)
		}
	}
	return sorted(all)
}

func sorted(hostnames []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(hostnames)))
}

// Withdraw has the daemon take off what the host has published of a stack that it was asked for
// until now, and waits for it a while. What can't be done now the daemon does later.
func Withdraw(ctx context.Context, h *here.Host) {
	if readPublished(h) == nil {
		return
	}
	if list, err := settle(ctx, h); err != nil || list.Why != "" {
		h.Trouble("routes", fmt.Errorf("hostnames are not taken off yet: %s", cmp.Or(here.ErrorText(err), list.Why)))
	}
}

// TakeOff has a host that leaves the fleet take off what it has published, and reports whether
// it had anything. The daemon has to run.
func TakeOff(ctx context.Context, h *here.Host) (took bool, err error) {
	note := hostpath.PublishingOf(h.Paths).Note
	if readPublished(h) == nil {
		return false, nil
	}
	spec, err := h.ReadSpec()
	if err != nil {
		return false, err
	}
	spec.Ingress = nil
	if err := h.SaveSpec(spec); err != nil {
		return false, err
	}
	list, err := settle(ctx, h)
	if readPublished(h) == nil {
		return true, nil
	}
	why := cmp.Or(list.Why, "Cloudflare does not have all of it yet")
	if err != nil {
		why = err.Error()
	}
	return false, fault.WithHint(fmt.Errorf("the public hostnames of %s are not taken off: %s", spec.Name, why),
		"run the same command again; or, to leave them at Cloudflare as they are, remove "+note+" on "+spec.Name+" first")
}
