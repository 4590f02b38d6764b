package stack

import (
	"context"
	"slices"
	"time"

	"salvor/internal/docker"
	"salvor/internal/machine"
)

const (
	engineTimeout  = time.Minute
	composeTimeout = 30 * time.Minute // a build or a slow pull included
)

// A Host runs stacks on one machine. Its methods are safe for concurrent use on
// different stacks; callers hold the host's run lock, so that no two runs work on one
// stack at once.
type Host struct{ control }

// control starts, stops, pauses and asks containers of projects that are deployed.
type control struct {
	machine machine.Machine
	engine  *docker.Engine
	wanted  map[string]string // Compose's names of stacks that were never here, see Wanting
}

// New returns the stacks of a machine. Close it when done.
func New(m machine.Machine) *Host { return &Host{control{machine: m, engine: docker.New(m)}} }

// Close drops connections to the engine that are idle; the machine stays open.
func (h *Host) Close() { h.engine.Close() }

// Mounts returns what every running container on the host, by whatever it was
// started, has mounted writable.
func (h *Host) Mounts(ctx context.Context) ([]docker.Mount, error) { return h.engine.Mounts(ctx) }

// Gated reports whether a container has its stack's gate mounted: without it, it starts
// at every boot of its host.
func Gated(c docker.Container) bool { return slices.Contains(c.Targets, GateTarget) }
