package stack

import (
	"context"
	"errors"
	"fmt"

	"salvor/internal/machine"
)

// FreePorts restarts the engine where it kept ports that no container has, and
// reports whether it did. It does so only while no container runs at all, of any
// project; on a host with nothing kept it costs one program.
//
// An engine (26.1.5 does) whose host lost its power while containers were starting
// publishes their ports again at its next start, then removes their endpoints as
// stale and leaves the ports taken: "port is already allocated", until it is
// started once more.
func (h *Host) FreePorts(ctx context.Context) (bool, error) {
	_, err := h.machine.Run(ctx, machine.Command("pidof", "docker-proxy"))
	var exit *machine.ExitError
	if errors.As(err, &exit) && exit.Code == 1 {
		return false, nil // none: the engine publishes nothing
	}
	if err != nil {
		return false, fmt.Errorf("look for published ports: %w", err)
	}
	running, err := h.engine.Running(ctx)
	if err != nil || len(running) > 0 {
		return false, err
	}
	if _, err := h.machine.Run(ctx, machine.Cmd{Argv: []string{"systemctl", "restart", "docker.service"}, Timeout: engineTimeout}); err != nil {
		return false, fmt.Errorf("restart Docker, which holds ports of no container: %w", err)
	}
	return true, nil
}
