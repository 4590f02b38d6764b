package stack

import (
	"context"
	"fmt"

	"salvor/internal/fleet"
	"salvor/internal/hostpath"
)

// OpenGate lets a stack's containers start. The gate is in tmpfs, so after a boot
// every stack is shut until its gate is opened. It may be called twice.
func (h *control) OpenGate(ctx context.Context, stack string) error {
	if err := h.run(ctx, "mkdir", "-p", "--", hostpath.Default().Gate(stack)); err != nil {
		return fmt.Errorf("open the gate of %s: %w", stack, err)
	}
	return nil
}

// CloseGate keeps containers of a stack from being started, by anyone; those that run
// continue. It may be called twice.
func (h *control) CloseGate(ctx context.Context, stack string) error {
	if err := h.run(ctx, "rm", "-rf", "--", hostpath.Default().Gate(stack)); err != nil {
		return fmt.Errorf("close the gate of %s: %w", stack, err)
	}
	return nil
}

// EnsureNetworks creates the declared networks that do not exist. An existing
// one is left as it is: containers hang on it.
func (h *control) EnsureNetworks(ctx context.Context, networks []fleet.Network) error {
	for _, n := range networks {
		exists, err := h.engine.HasNetwork(ctx, n.Name)
		if err != nil {
			return err
		}
		if exists {
			continue
		}
		args := []string{"network", "create", "--label", "dev.salvor.fleet=true"}
		if n.Driver != "" {
			args = append(args, "--driver", n.Driver)
		}
		if n.Subnet != "" {
			args = append(args, "--subnet", n.Subnet)
		}
		if n.Internal {
			args = append(args, "--internal")
		}
		if err := h.docker(ctx, append(args, "--", n.Name)...); err != nil {
			return fmt.Errorf("network %s: %w", n.Name, err)
		}
	}
	return nil
}

// ensureVolumes creates the volumes that do not exist, as Compose does with those that a
// project does not call external.
func (h *control) ensureVolumes(ctx context.Context, names []string) error {
	for _, name := range names {
		exists, err := h.engine.HasVolume(ctx, name)
		if err != nil {
			return err
		}
		if exists {
			continue
		}
		if err := h.docker(ctx, "volume", "create", "--label", "dev.salvor.fleet=true", "--", name); err != nil {
			return fmt.Errorf("volume %s: %w", name, err)
		}
	}
	return nil
}
