package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/machine"
	"salvor/internal/progress"
)

// ErrLockedOut means that a host could not be reached any more after its way in was changed, and that the change is
// taken back.
var ErrLockedOut = errors.New("the change of how one gets in was taken back, since a new connection failed")

// confirmWithin is what a new connection may take: less than the host waits for.
const confirmWithin = 30 * time.Second

// How long a host that does not take the new connection is tried again, and how often.
const (
	retryFor   = 5 * time.Second
	retryPause = 300 * time.Millisecond
)

// wayIn makes the way in to a host as spec says, where any of it is Salvor's, before stacks are started: their ports
// are published behind the firewall. It counts once a new connection has confirmed it. The host's stacks are applied
// in any case.
func wayIn(ctx context.Context, r *Run, link *hostlink.Link, h fleet.Host, spec agentapi.Host) ([]agentapi.Change, error) {
	if !spec.Manage.Has(fleet.AreaSSH) && !spec.Manage.Has(fleet.AreaFirewall) {
		return nil, nil
	}
	var made agentapi.WayInChanged
	req := agentapi.ChangeWayIn{Host: spec, Owner: r.Owner, Message: fmt.Sprintf("%s %.7s", r.Kind, r.Commit)}
	if err := r.call(ctx, link, agentapi.VerbWayIn, req, &made); err != nil || made.ID == "" {
		return made.Changed, err
	}
	c := changedWayIn{Run: r, host: h, link: link, id: made.ID}
	end := progress.Scope{Sink: r.Sink, Host: h.Name}.Step("confirm the way in", "by a new connection")
	err := c.confirm(ctx)
	end(err, "")
	if err == nil {
		return made.Changed, nil
	}
	return nil, c.lockedOut(ctx, err)
}

// A changedWayIn is a change that its host waits to be confirmed.
type changedWayIn struct {
	*Run
	host fleet.Host
	link *hostlink.Link // from before the change
	id   string
}

func (c changedWayIn) confirm(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, confirmWithin, fmt.Errorf("no new connection in %s", confirmWithin))
	defer cancel()
	fresh, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer fresh.Machine.Close()
	return fresh.Reporting(c.Sink).Call(ctx, agentapi.VerbWayInConfirm, agentapi.ConfirmWayIn{ID: c.id}, &agentapi.WayInDone{})
}

// connect tries again for some seconds: an sshd that reads its files again takes no connection for a moment.
func (c changedWayIn) connect(ctx context.Context) (*hostlink.Link, error) {
	began := time.Now()
	for {
		fresh, err := c.Fresh(ctx, c.host)
		if !errors.Is(err, machine.ErrUnreachable) || time.Since(began) > retryFor {
			return fresh, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(retryPause):
		}
	}
}

// lockedOut asks the host, over the connection that there still is, to take the change back at once. Where that fails
// too, the host does it when its own time is over.
func (c changedWayIn) lockedOut(ctx context.Context, why error) error {
	err := fault.WithHint(fmt.Errorf("%s: %w: %w", c.host.Name, ErrLockedOut, why),
		"ssh.from in fleet.yaml needs the address from which this computer reaches "+c.host.Name+"; journalctl -u salvor-undo there, or its journal, has the change")
	undo := agentapi.UndoWayIn{ID: c.id, Why: why.Error()}
	if back := c.call(ctx, c.link, agentapi.VerbWayInUndo, undo, &agentapi.WayInDone{}); back != nil {
		return errors.Join(err, fmt.Errorf("%s takes it back within a minute: %w", c.host.Name, back))
	}
	return err
}
