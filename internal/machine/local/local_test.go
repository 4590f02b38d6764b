package local

import (
	"testing"

	"salvor/internal/machine"
	"salvor/internal/machine/machinetest"
)

func TestConformance(t *testing.T) {
	machinetest.Run(t, func(*testing.T) machine.Machine { return Machine{} })
}
