package keeper

import (
	"context"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/method"
	"salvor/internal/stack"
)

// Isolated starts a stack's database next to where it lives, on a folder
// of its own, to make its files of a dump.
type Isolated struct {
	Host   *here.Host
	Stack  agentapi.Stack
	Images map[string]string // what the data ran with
	Sink   progress.Sink
}

// Start implements snapshot.Database.
func (i *Isolated) Start(ctx context.Context, v snapshot.Volume, dir string, s method.Start) (snapshot.Running, error) {
	isolated := stack.Isolated{Stack: i.Stack.Name, Service: v.Service, Compose: i.Stack.Project.Compose, Images: i.Images,
		MountAt: s.MountAt, Folder: dir, User: s.User, Entrypoint: s.Argv, Healthy: s.Healthy, StopSignal: s.Stop, Slow: s.Proof, Run: v.Name}
	folder := i.Host.Paths.Isolated(isolated.Name())
	running := &isolatedRunning{host: i.Host, isolated: isolated, dir: folder}
	if err := i.Host.Stacks.StartIsolated(ctx, isolated, folder, i.Sink); err != nil {
		return running, err
	}
	return running, nil
}

type isolatedRunning struct {
	host     *here.Host
	isolated stack.Isolated
	dir      string
}

// Exec implements snapshot.Runner.
func (r *isolatedRunning) Exec(ctx context.Context, c snapshot.Command) error {
	return r.host.Exec(ctx, r.isolated.Name(), c)
}

// Stop implements snapshot.Running.
func (r *isolatedRunning) Stop(ctx context.Context) error {
	return r.host.Stacks.StopIsolated(ctx, r.isolated, r.dir)
}
