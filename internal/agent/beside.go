package agent

import (
	"context"

	"salvor/internal/agentapi"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/postgres"
	"salvor/internal/stack"
)

// besideDatabase starts a stack's database next to where it lives, on a folder
// of its own, to make its files of a dump.
type besideDatabase struct {
	host   *base
	stack  agentapi.Stack
	images map[string]string // what the data ran with
	sink   progress.Sink
}

// Start implements snapshot.Database.
func (b *besideDatabase) Start(ctx context.Context, v snapshot.Volume, dir string, s postgres.Start) (snapshot.Running, error) {
	beside := stack.Beside{Stack: b.stack.Name, Service: v.Service, Compose: b.stack.Project.Compose, Images: b.images,
		MountAt: s.MountAt, Folder: dir, User: s.User, Entrypoint: s.Argv, Healthy: s.Healthy, Slow: s.Proof, Run: v.Name}
	folder := b.host.Paths.Isolated(beside.Name())
	running := &besideRunning{host: b.host, beside: beside, dir: folder}
	if err := b.host.Stacks.StartBeside(ctx, beside, folder, b.sink); err != nil {
		return running, err
	}
	return running, nil
}

type besideRunning struct {
	host   *base
	beside stack.Beside
	dir    string
}

// Exec implements snapshot.Runner.
func (r *besideRunning) Exec(ctx context.Context, c snapshot.Command) error {
	return r.host.exec(ctx, r.beside.Name(), c)
}

// Stop implements snapshot.Running.
func (r *besideRunning) Stop(ctx context.Context) error {
	return r.host.Stacks.EndBeside(ctx, r.beside, r.dir)
}

func (h *base) exec(ctx context.Context, project string, c snapshot.Command) error {
	return h.Stacks.Exec(ctx, project, stack.Session{Service: c.Service, User: c.User, Argv: c.Argv, Stdin: c.Stdin, Stdout: c.Stdout})
}
