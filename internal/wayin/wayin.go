// Package wayin makes how one gets in to a host as the fleet says: what sshd accepts, and what reaches the host
// from outside. Such a change can lock everyone out, so it is armed before it is made: a timer of the host's own
// takes it back unless someone confirms, over a new connection, that one still gets in.
package wayin

import (
	"context"
	_ "embed"

	"salvor/internal/converge"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/machine"
	"salvor/internal/resource"
)

// A Spec is what the fleet says about the way in to a host.
type Spec struct {
	Manage  fleet.Areas
	User    string           // as whom Salvor logs in
	SSHFrom []fleet.Source   // none for everywhere
	Open    []fleet.OpenPort // from outside
}

// Any reports whether any of it is Salvor's on that host.
func (s Spec) Any() bool { return s.has(fleet.AreaSSH) || s.has(fleet.AreaFirewall) }

func (s Spec) has(area fleet.Area) bool { return s.Manage.Has(area) }

// Names of the units that take back what was not confirmed.
const (
	undoService = "salvor-undo.service"
	undoTimer   = "salvor-undo.timer"
)

//go:embed salvor-undo.service
var undoServiceFile []byte

//go:embed salvor-undo.timer
var undoTimerFile []byte

// needs are what the guarded resources and the timer are made of. They change nothing about who gets in.
func (s Spec) needs() []converge.Resource {
	if !s.Any() {
		return nil
	}
	all := []converge.Resource{
		resource.File{Path: unitDir + undoService, Content: undoServiceFile, Mode: 0o644},
		resource.File{Path: unitDir + undoTimer, Content: undoTimerFile, Mode: 0o644},
		// after a reboot the note is what is left of an armed change
		resource.Unit{Name: undoService, Boot: resource.Enabled},
		resource.Unit{Name: undoTimer}, // started for a change, and never at boot
	}
	if s.has(fleet.AreaFirewall) {
		all = append(all, firewallNeeds()...)
	}
	return all
}

// guarded are the resources that decide who gets in.
func (s Spec) guarded() []converge.Resource {
	var all []converge.Resource
	if s.has(fleet.AreaSSH) {
		all = append(all, sshd{user: s.User})
	}
	if s.has(fleet.AreaFirewall) {
		all = append(all, firewall{from: s.SSHFrom, open: s.Open})
	}
	return all
}

// Plan returns what a change of the way in would change, without the changes in others: those that the
// host's preparation has too. Nothing is written.
func Plan(ctx context.Context, m machine.Machine, s Spec) ([]converge.Change, error) {
	if !s.Any() {
		return nil, nil
	}
	plan, err := converge.NewPlan(ctx, m, append(s.needs(), s.guarded()...))
	if err != nil {
		return nil, err
	}
	armed, err := read(ctx, m)
	if err != nil || armed == nil {
		return plan.Changes, err
	}
	return append(plan.Changes, converge.Change{ID: "way in", Action: converge.Changes, Cause: "a change was not confirmed, and is taken back: " + armed.what()}), nil
}

const unitDir = "/etc/systemd/system/"

// in is a path in Salvor's own folder, which the host's enrolment has made.
func in(name string) string { return hostpath.Default().Config + "/" + name }
