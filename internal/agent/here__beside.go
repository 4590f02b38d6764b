package agent

import (
	"context"

	"salvor/internal/snapshot"
	"salvor/internal/stack"
)

func (h *base) exec(ctx context.Context, project string, c snapshot.Command) error {
	return h.Stacks.Exec(ctx, project, stack.Session{Service: c.Service, User: c.User, Argv: c.Argv, Stdin: c.Stdin, Stdout: c.Stdout})
}
