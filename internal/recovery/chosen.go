package recovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fit"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/suggest"
)

// chooses refuses names of stacks that a recovery can't be about. One that it took over
// already, before it was interrupted, is not refused.
func (r *recovery) chooses() error {
	lock := r.fleet.Lock()
	there := lock.On(r.Lost)
	for _, name := range slices.Concat(r.Without, r.Only) {
		if name == fleet.Own(r.Lost) {
			continue // its routes, which may have moved already
		}
		at, placed := lock.Placement(name)
		if taken := placed && (r.To.Name == "" || at.Host == r.To.Name); !taken && !slices.Contains(there, name) {
			return fault.WithCode(fault.WithHint(fmt.Errorf("stack %s is not placed on %s%s", name, r.Lost, suggest.DidYouMean(name, there)), "salvor host ls"), fault.Usage)
		}
	}
	if targets := r.fleet.Fleet().TargetNames(); r.From != "" && !slices.Contains(targets, r.From) {
		return fault.WithCode(fault.WithHint(fmt.Errorf("the fleet has no snapshot target %s%s", r.From, suggest.DidYouMean(r.From, targets)), "fleet.yaml lists them under data.snapshots"), fault.Usage)
	}
	if len(r.Without)+len(r.Only) > 0 && r.replaces() {
		return fault.WithCode(fault.WithHint(fmt.Errorf("a machine that replaces %s under its name gets all its stacks", r.Lost), "--to NAME=ADDRESS with another name takes some of them"), fault.Usage)
	}
	return nil
}

// chosen returns the stacks of the lost host that are taken over, never nil.
func (r *recovery) chosen() []string {
	lock := r.fleet.Lock()
	return slices.DeleteFunc(append([]string{}, lock.On(r.Lost)...), func(name string) bool {
		return slices.Contains(r.Without, name) || len(r.Only) > 0 && !slices.Contains(r.Only, name)
	})
}

// nothing is the error of a recovery that no stack is left for.
func (r *recovery) nothing() error {
	if routes := r.movable(); len(routes) > 0 {
		return fault.WithHint(fmt.Errorf("%s leaves only routes to take over: %s", r.Lost, hostnames(routes)), fmt.Sprintf("salvor recover %s --to HOST has another host serve them", r.Lost))
	}
	if lock := r.fleet.Lock(); len(lock.On(r.Lost)) > 0 {
		return fault.WithCode(fmt.Errorf("no stack of %s is left to recover", r.Lost), fault.Usage)
	}
	return fault.WithHint(fmt.Errorf("nothing is placed on %s", r.Lost), "salvor host ls; if its recovery was interrupted, salvor apply finishes it")
}

// fits makes sure that the stacks fit on the host taking over, before anything is committed.
// It returns what the operator should know although they do. A host that can't be asked is
// asked again when it applies.
func (r *recovery) fits(ctx context.Context) (notes string, err error) {
	s, err := r.fleet.Session(ctx, progress.Discard())
	if err != nil || len(r.moves) == 0 {
		return "", err
	}
	var misfits []fit.Misfit
	for _, m := range deploy.Misfits(ctx, s, r.next, s.ObserveSome(ctx, r.next, r.To.Name))[r.To.Name] {
		switch {
		case !slices.Contains(r.stacks, m.Stack):
		case m.Severity == finding.Fatal:
			misfits = append(misfits, m)
		default:
			notes += fmt.Sprintf("note: %s: %s\n", m.Stack, m.Text)
		}
	}
	return notes, r.refusal(misfits)
}

// refusal is the error of stacks that do not fit, a line for each reason; nil without any.
func (r *recovery) refusal(misfits []fit.Misfit) error {
	if len(misfits) == 0 {
		return nil
	}
	var errs []error
	var names []string
	for _, m := range misfits {
		errs = append(errs, fmt.Errorf("%s does not fit on %s: %s", m.Stack, r.To.Name, m.Text))
		names = append(names, m.Stack)
	}
	names = slices.Compact(names)
	without := fmt.Sprintf("salvor recover %s --to %s --without %s continues with the rest", r.Lost, typed(r.To, r.New), strings.Join(slices.Concat(r.Without, names), ","))
	switch {
	case len(names) == len(r.stacks) || r.replaces():
		without = misfits[0].Fix
	case len(r.Only) > 0:
		left := slices.DeleteFunc(slices.Clone(r.stacks), func(name string) bool { return slices.Contains(names, name) })
		without = fmt.Sprintf("salvor recover %s --to %s --only %s continues with the rest", r.Lost, typed(r.To, r.New), strings.Join(left, ","))
	}
	return fault.WithHint(errors.Join(errs...), without+"; salvor recover "+r.Lost+" shows where each stack fits")
}

// behind is what is left to do for stacks that stay placed on the lost host.
func (r *recovery) behind(lock fleet.Lock) []string {
	if r.replaces() {
		return nil
	}
	var lines []string
	if left := lock.On(r.Lost); len(left) > 0 {
		lines = append(lines, fmt.Sprintf("still placed on %s, which is lost: %s; salvor recover %s shows where they fit", r.Lost, strings.Join(left, ", "), r.Lost))
	}
	if left := r.fleet.Fleet().Ingress.At(r.Lost); len(left) > 0 {
		lines = append(lines, fmt.Sprintf("still led to %s, which is lost: %s; salvor recover %s --to HOST --only %s has another host serve them", r.Lost, hostnames(left), r.Lost, fleet.Own(r.Lost)))
	}
	return lines
}

// typed is a host as --to has it.
func typed(h fleet.Host, isNew bool) string {
	if !isNew {
		return h.Name
	}
	address := h.Address
	if h.Port != 0 && h.Port != 22 {
		address = net.JoinHostPort(address, strconv.Itoa(h.Port))
	}
	if h.User != "" && h.User != "root" {
		address = h.User + "@" + address
	}
	return h.Name + "=" + address
}

// own says which folders of the lost host itself are kept, and how they are brought back: a
// recovery puts none of them onto another machine.
func (r *recovery) own() string {
	h, _ := r.fleet.Fleet().Host(r.Lost)
	kept, has := r.fleet.Lock().Hosts[r.Lost]
	if len(h.Protect) == 0 || !has {
		return ""
	}
	return fmt.Sprintf("note: snapshots keep %s of %s itself, on %s; once a machine has that name again: salvor restore %s\n",
		strings.Join(h.Protect, ", "), r.Lost, strings.Join(slices.Sorted(maps.Keys(kept.Repositories)), ", "), fleet.Own(r.Lost))
}
