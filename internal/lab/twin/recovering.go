package twin

import (
	"context"
	"errors"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/exposed"
	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/machine/ssh"
	"salvor/internal/progress"
	"salvor/internal/recovery"
)

// recovering is a commit as a recovery needs it. It implements recovery.Fleet.
type recovering struct{ *command }

var _ recovery.Fleet = recovering{}

// Fleet implements recovery.Fleet.
func (r recovering) Fleet() *fleet.Fleet { return r.s.Fleet }

// Lock implements recovery.Fleet.
func (r recovering) Lock() fleet.Lock { return r.lock }

// PinGitHost implements recovery.Fleet.
func (recovering) PinGitHost(context.Context) error { return nil }

// Reach implements recovery.Fleet.
func (r recovering) Reach(h fleet.Host) (func(context.Context) (machine.Machine, error), error) {
	return func(ctx context.Context) (machine.Machine, error) {
		link, err := r.s.Hosts.Dial(ctx, h)
		if err != nil {
			return nil, err
		}
		return link.Machine, nil
	}, nil
}

// AddHost implements recovery.Fleet: a world has all its hosts from the start.
func (recovering) AddHost(context.Context, fleet.Host, ssh.PublicKey, bool) (recovery.Target, error) {
	return recovery.Target{}, errors.ErrUnsupported
}

// Enrol implements recovery.Fleet.
func (r recovering) Enrol(ctx context.Context, h fleet.Host) (recovery.Target, error) {
	link, err := r.s.Hosts.Dial(ctx, h)
	if err != nil {
		return recovery.Target{}, err
	}
	var e agentapi.Enrolment
	err = link.Call(ctx, agentapi.VerbEnrol, agentapi.Enrol{Fleet: fleetName, Host: h.Name, Signers: r.s.Signers}, &e)
	return recovery.Target{GitKey: e.GitKey}, err
}

// Rehost implements recovery.Fleet.
func (r recovering) Rehost(stacks []string, host string) (map[string][]byte, error) {
	return r.rehost(stacks, host)
}

// MoveRoutes implements recovery.Fleet: a host of a world has no routes of its own.
func (recovering) MoveRoutes(string, string, map[string][]byte) error { return nil }

// Revive implements recovery.Fleet: every stack of a world loads.
func (recovering) Revive(context.Context, []string) ([]string, error) { return nil, nil }

// LetRead implements recovery.Fleet.
func (recovering) LetRead(context.Context, map[string]string) (bool, error) { return false, nil }

// Forget implements recovery.Fleet.
func (recovering) Forget(string, map[string][]byte) error { return errors.ErrUnsupported }

// NoteStolen implements recovery.Fleet.
func (recovering) NoteStolen(context.Context, string, map[string][]byte) error {
	return errors.ErrUnsupported
}

// Exposed implements recovery.Fleet.
func (recovering) Exposed(context.Context, string) (exposed.Host, error) {
	return exposed.Host{}, nil
}

// Session implements recovery.Fleet.
func (r recovering) Session(context.Context, progress.Sink) (*deploy.Session, error) { return r.s, nil }
