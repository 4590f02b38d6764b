package lab

import (
	"context"
	"fmt"
)

// Kill cuts the host's power: every process dies at once, disks stay.
func (h *Host) Kill(ctx context.Context) error {
	return h.ended(ctx, h.engine(ctx, "kill", h.container))
}

// ended waits for the end of a host that was told to end; err is what the engine answered.
func (h *Host) ended(ctx context.Context, err error) error {
	if stuck(err) {
		return h.named(thawInside(ctx, h.container))
	}
	return err
}

// Start powers a killed or halted host on and waits until it is ready.
func (h *Host) Start(ctx context.Context) error {
	if err := h.engine(ctx, "start", h.container); err != nil {
		return err
	}
	return h.ready(ctx)
}

// PowerOn powers a killed host on and waits until it has booted. Unlike Start it
// needs no network, so it serves for a host that is cut off.
func (h *Host) PowerOn(ctx context.Context) error {
	if err := h.engine(ctx, "start", h.container); err != nil {
		return err
	}
	if err := until(ctx, bootLimit, h.booted); err != nil {
		return fmt.Errorf("host %s has not booted: %w", h.Name, err)
	}
	return nil
}

// Reboot halts the host in order and starts it again.
func (h *Host) Reboot(ctx context.Context) error {
	if err := h.ended(ctx, h.engine(ctx, "stop", "--time", "60", h.container)); err != nil {
		return err
	}
	return h.Start(ctx)
}

// Freeze stops the host in its tracks: connections stay open and silent.
func (h *Host) Freeze(ctx context.Context) error { return h.named(freeze(ctx, h.container)) }

// Thaw lets a frozen host continue.
func (h *Host) Thaw(ctx context.Context) error { return h.named(thaw(ctx, h.container)) }

// CutOff takes the host off the network while it runs on. A host can be cut off
// while it is powered down, too: it then boots without a network.
func (h *Host) CutOff(ctx context.Context) error {
	return h.engine(ctx, "network", "disconnect", h.lab.ID, h.container)
}

// Reconnect puts the host back on the network under its address.
func (h *Host) Reconnect(ctx context.Context) error {
	return h.engine(ctx, "network", "connect", "--ip", h.Address.String(), "--alias", h.Name, h.lab.ID, h.container)
}

// Replace puts a clean host of the same release in the host's place: same name
// and address, nothing else is the same.
func (h *Host) Replace(ctx context.Context) error {
	if err := h.discard(ctx); err != nil {
		return err
	}
	return h.create(ctx)
}

// Remove removes the host permanently. Its name may be used again.
func (h *Host) Remove(ctx context.Context) error {
	h.lab.mu.Lock()
	delete(h.lab.hosts, h.Name)
	h.lab.mu.Unlock()
	return h.discard(ctx)
}

func (h *Host) discard(ctx context.Context) error {
	if err := h.named(remove(ctx, h.container)); err != nil {
		return err
	}
	return h.engine(ctx, "volume", "rm", "-f", h.container+"-docker")
}

func (h *Host) engine(ctx context.Context, args ...string) error {
	_, err := docker(ctx, args...)
	return h.named(err)
}

func (h *Host) named(err error) error {
	if err != nil {
		return fmt.Errorf("host %s: %w", h.Name, err)
	}
	return nil
}
