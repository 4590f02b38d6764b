package app

import (
	"context"

	"salvor/internal/deploy"
	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/machine/ssh"
	"salvor/internal/progress"
	"salvor/internal/recovery"
)

// ForRecovery is the opened fleet as a recovery needs it.
func (a *App) ForRecovery() recovery.Fleet { return recoverer{a} }

type recoverer struct{ *App }

// AddHost implements recovery.Fleet.
func (r recoverer) AddHost(ctx context.Context, h fleet.Host, key ssh.PublicKey, replaces bool) (recovery.Target, error) {
	add, err := r.App.AddHost(ctx, h, key, replaces)
	return recovery.Target(add), err
}

// Enrol implements recovery.Fleet.
func (r recoverer) Enrol(ctx context.Context, h fleet.Host) (recovery.Target, error) {
	add, err := r.App.Enrol(ctx, h)
	return recovery.Target(add), err
}

// Reach implements recovery.Fleet.
func (r recoverer) Reach(h fleet.Host) (func(context.Context) (machine.Machine, error), error) {
	return r.App.Reach.To(h)
}

// Seen implements recovery.Fleet.
func (r recoverer) Seen(ctx context.Context, host string) (recovery.Seen, error) {
	seen, err := r.SeenByHost(ctx, host)
	return seen.seen(), err
}

// Session implements recovery.Fleet.
func (r recoverer) Session(ctx context.Context, sink progress.Sink) (*deploy.Session, error) {
	r.opts.Sink = sink
	return r.App.Session(ctx)
}

// StillHas is what the host can reach by what is on its disk.
func (r RemovedHost) StillHas(host string) []string { return r.seen().StillHas(host) }

func (r RemovedHost) seen() recovery.Seen {
	seen := recovery.Seen{Remotes: r.Remotes, DeployKey: r.DeployKey, GitURL: r.GitURL}
	for _, s := range r.Rotate {
		seen.Secrets = append(seen.Secrets, recovery.Secret{Name: s.Secret, Provider: s.Provider, Command: s.Command})
	}
	return seen
}
