package here

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/journal"
	"salvor/internal/stack"
)

// NoEngine reports whether an error means that no Docker engine answers, as on
// a host that is not prepared yet.
func NoEngine(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// Lacks says what stacks need and a host lacks whose Docker is not Salvor's, in words, and
// "" for nothing: an apply does not bring it.
func (h *Host) Lacks(ctx context.Context, spec agentapi.Host) (string, error) {
	if spec.Manage.Has(fleet.AreaDocker) {
		return "", nil
	}
	_, err := h.Stacks.Observe(ctx)
	if NoEngine(err) {
		return "no Docker engine answers", nil
	}
	if err != nil {
		return "", err
	}
	has, err := stack.HasCompose(ctx, h.Machine)
	if err != nil || has {
		return "", err
	}
	return "Docker has no Compose plugin", nil
}

// FreePorts has Docker, where it is Salvor's, release ports that it kept over a power cut.
// Where that fails the stacks are started anyway: most need none of those ports, and one
// that does says what to do.
func (h *Host) FreePorts(ctx context.Context, spec agentapi.Host) {
	if !spec.Manage.Has(fleet.AreaDocker) {
		return
	}
	switch freed, err := h.Stacks.FreePorts(ctx); {
	case err != nil:
		h.Trouble("ports", err)
	case freed:
		h.Enter(journal.Entry{Kind: "ports", Text: "Docker still held ports of no container after a power cut: restarted it"})
	}
}
