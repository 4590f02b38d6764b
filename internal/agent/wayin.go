package agent

import (
	"cmp"
	"context"
	"os"
	"slices"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/converge"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hold"
	"salvor/internal/journal"
	"salvor/internal/machine"
	"salvor/internal/progress"
	"salvor/internal/runlock"
	"salvor/internal/wayin"
)

// A WayIn changes how one gets in to this host. Only an operator's verbs do, and the timer that takes back what they
// did not confirm: the host's own runs change nothing of it.
type WayIn here.Host

func (w *WayIn) base() *here.Host { return (*here.Host)(w) }

// wayInOf is what a host is asked for.
func wayInOf(spec agentapi.Host) wayin.Spec {
	return wayin.Spec{Manage: spec.Manage, User: cmp.Or(spec.SSH.User, "root"), SSHFrom: spec.Outside.SSHFrom, Open: spec.Outside.Open}
}

// Change answers agentapi.VerbWayIn.
func (w *WayIn) Change(ctx context.Context, req agentapi.ChangeWayIn, sink progress.Sink) (agentapi.WayInChanged, error) {
	lock, err := w.base().Lock(ctx, req.Owner, req.Message, sink)
	if err != nil {
		return agentapi.WayInChanged{}, err
	}
	defer lock.Release()
	made, err := wayin.Change(ctx, w.Machine, wayInOf(req.Host), progress.Scope{Sink: sink})
	hold.At(ctx, "way-in-changed")
	if made.ID != "" || err != nil {
		w.enter(req.Owner, "changed, to be confirmed", err)
	}
	return agentapi.WayInChanged{Changed: overWire(made.Changes), ID: made.ID, Within: wayin.Within}, err
}

// Confirm answers agentapi.VerbWayInConfirm.
func (w *WayIn) Confirm(ctx context.Context, req agentapi.ConfirmWayIn, _ progress.Sink) (agentapi.WayInDone, error) {
	err := w.alone(func() error { return wayin.Confirm(ctx, w.Machine, req.ID) })
	w.enter("", "confirmed over a new connection", err)
	return agentapi.WayInDone{}, err
}

// Undo answers agentapi.VerbWayInUndo.
func (w *WayIn) Undo(ctx context.Context, req agentapi.UndoWayIn, _ progress.Sink) (agentapi.WayInDone, error) {
	_, err := w.undo(ctx, req.ID, req.Why)
	return agentapi.WayInDone{}, err
}

// Expire takes back what was not confirmed in time, or before the host was rebooted, and returns what and why; "" for
// nothing.
func (w *WayIn) Expire(ctx context.Context) (string, error) {
	return w.undo(ctx, "", "it was not confirmed over a new connection within "+wayin.Within.String())
}

func (w *WayIn) undo(ctx context.Context, id, why string) (said string, err error) {
	var what string
	err = w.alone(func() error {
		what, err = wayin.Undo(ctx, w.Machine, id)
		return err
	})
	if what != "" {
		said = "took back " + what + ", since " + why
	}
	if said != "" || err != nil {
		w.enter("", said, err)
	}
	return said, err
}

// alone does work while no other process confirms or takes back.
func (w *WayIn) alone(work func() error) error {
	if err := os.MkdirAll(w.Paths.Run, 0o700); err != nil {
		return err
	}
	return runlock.Briefly(w.Paths.Run, "way-in", work)
}

func (w *WayIn) enter(owner, text string, err error) {
	w.base().Enter(journal.Entry{Kind: "way-in", Owner: owner, Text: text, Error: here.ErrorText(err)})
}

// firewallHolds reports whether the firewall is Salvor's, and in force: the plan has nothing to do for it.
func firewallHolds(spec agentapi.Host, changes []agentapi.Change) bool {
	return spec.Manage.Has(fleet.AreaFirewall) && !slices.ContainsFunc(changes, func(c agentapi.Change) bool { return c.ID == wayin.Firewall })
}

func overWire(changes []converge.Change) []agentapi.Change {
	var all []agentapi.Change
	for _, c := range changes {
		all = append(all, agentapi.Change{ID: c.ID, Action: string(c.Action), Cause: c.Cause, Destroys: c.Destroys})
	}
	return all
}

// observeWayIn adds what a change of the way in would change, and what keeps it from counting.
func observeWayIn(ctx context.Context, m machine.Machine, spec agentapi.Host, state *agentapi.HostState) error {
	asked := wayInOf(spec)
	changes, err := wayin.Plan(ctx, m, asked)
	if err != nil {
		return err
	}
	state.Changes = append(state.Changes, overWire(changes)...)
	overruled, err := wayin.Overruled(ctx, m, asked)
	for _, text := range overruled {
		state.Findings = append(state.Findings, finding.Finding{
			Code: finding.SSHOverruled, Severity: finding.Warning, Subject: spec.Name, Text: text,
			Fix: "change that line on " + spec.Name + ", then systemctl reload ssh there",
		})
	}
	return err
}
