package publishing

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/hostpath"
	"salvor/internal/record"
	"salvor/internal/route"
)

// former adds the owners that published from here and that the spec does not have any more:
// what they have at Cloudflare goes, unless another host has it by now. Those are forgotten.
func (d *Daemon) former(ctx context.Context, spec agentapi.Host, note *published, w *want) {
	if note == nil {
		return
	}
	for owner, epoch := range note.Owners {
		if _, is := w.Owners[owner]; is || isPlaced(spec, owner) {
			continue
		}
		st := agentapi.Stack{Name: owner, Epoch: epoch}
		v := d.verdict(ctx, spec, st, false)
		switch {
		case mayTakeOff(st, v) == "":
			w.Owners[owner] = epoch
		case v.State == record.Lost || st.IsOwn() && v.Epoch > epoch: // another host has it
			w.lost = append(w.lost, owner)
		}
	}
}

// verdict is what holds for one owner, by a look that begins now or by one within the lease.
func (d *Daemon) verdict(ctx context.Context, spec agentapi.Host, st agentapi.Stack, now bool) record.Verdict {
	switch {
	case st.IsOwn():
		return d.guard.Own(ctx, spec, st, now)
	case now:
		return d.guard.Verdict(ctx, d.h.At(spec, st))
	}
	return d.guard.Recent(ctx, d.h.At(spec, st))
}

func isPlaced(spec agentapi.Host, stack string) bool {
	return slices.ContainsFunc(spec.Stacks, func(st agentapi.Stack) bool { return st.Name == stack })
}

// mayTakeOff says why this host may not take off what a stack has published that is not placed
// here any more. Where it is placed nowhere, no other host cleans up after it.
func mayTakeOff(st agentapi.Stack, v record.Verdict) string {
	if v.Ended {
		return ""
	}
	return mayNot(st, v)
}

// stillOurs returns why the host may not change what is outside it for one of the owners, by a
// look that begins now.
func (d *Daemon) stillOurs(ctx context.Context, spec agentapi.Host, owners map[string]int) error {
	for _, owner := range slices.Sorted(maps.Keys(owners)) {
		st := agentapi.Stack{Name: owner, Epoch: owners[owner]}
		v := d.verdict(ctx, spec, st, true)
		why := mayNot(st, v)
		if !isPlaced(spec, owner) {
			why = mayTakeOff(st, v)
		}
		if why != "" {
			return fmt.Errorf("stack %s: %s", owner, why)
		}
	}
	return nil
}

// remember notes, before a pass, what the host may have at Cloudflare from now on.
func (d *Daemon) remember(is published, w want, before *published) error {
	is.Schema, is.Owners = agentapi.Schema, maps.Clone(is.Owners)
	if is.Owners == nil {
		is.Owners = map[string]int{}
	}
	for _, o := range w.Routes {
		is.Owners[o.Owner] = w.Owners[o.Owner]
	}
	if before != nil && reflect.DeepEqual(is, *before) {
		return nil
	}
	return here.WriteJSON(hostpath.PublishingOf(d.h.Paths).Note, is)
}

// forget notes, after a pass that left nothing to do, which owners have nothing at Cloudflare
// any more, and reports whether none has.
func (d *Daemon) forget(w want) (none bool, err error) {
	is := readPublished(d.h)
	if is == nil {
		return true, nil
	}
	before := len(is.Owners)
	for owner := range is.Owners {
		_, ours := w.Owners[owner]
		publishes := slices.ContainsFunc(w.Routes, func(o route.Owned) bool { return o.Owner == owner })
		if ours && !publishes || slices.Contains(w.lost, owner) {
			delete(is.Owners, owner)
		}
	}
	if len(is.Owners) == before {
		return before == 0, nil
	}
	return len(is.Owners) == 0, here.WriteJSON(hostpath.PublishingOf(d.h.Paths).Note, is)
}
