package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/hold"
	"salvor/internal/hostpath"
)

// holdLimit is how long a host may take to come to a step at which it is held.
const holdLimit = 5 * time.Minute

// Hold has the host wait when it comes to a step of its work; see package hold.
// It is forgotten when the host boots.
func (h *Host) Hold(ctx context.Context, step string) error {
	const script = `mkdir -p -m 711 /run/salvor && mkdir -p "${1%/*}" && : >"$1"`
	_, err := h.Exec(ctx, "sh", "-c", script, "sh", hostpath.Default().Hold()+"/"+step)
	return err
}

// Held waits until the host has come to a step at which it is held.
func (h *Host) Held(ctx context.Context, step string) error {
	err := until(ctx, holdLimit, func(ctx context.Context) error {
		_, err := h.Exec(ctx, "test", "-e", hostpath.Default().Hold()+"/"+step+hold.Reached)
		return err
	})
	if err != nil {
		return fmt.Errorf("host %s does not come to %s: %w", h.Name, step, err)
	}
	return nil
}

// LetGo makes the host continue at a step, and no more wait there.
func (h *Host) LetGo(ctx context.Context, step string) error {
	_, err := h.Exec(ctx, "rm", "-f", hostpath.Default().Hold()+"/"+step)
	return err
}

// CutAt cuts the host's power when its work comes to a step. While it waits for that
// it runs work, whose error is ignored: its host has died.
func (h *Host) CutAt(ctx context.Context, step string, work func()) error {
	if err := h.Hold(ctx, step); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
	}()
	err := errors.Join(h.Held(ctx, step), h.Kill(ctx))
	<-done
	return err
}
