package startup_test

import (
	"context"
	"os"
	"testing"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/machine/machinetest"
	"salvor/internal/project"
	"salvor/internal/stack/stacktest"
)

// sharing gives the stack a shared volume, and has every start of a container without its
// mount be an error.
func sharing(t *testing.T, l *agenttest.Lived) {
	t.Helper()
	l.Stack.Shared = &agentapi.Shared{Where: fleet.Location{Remote: "disk", Path: "shared"}, Mount: fleet.DefaultSharedMount()}
	l.Stack.Volumes = append(l.Stack.Volumes, project.Volume{Name: "library", Path: t.TempDir(), Protect: fleet.Shared})
	if err := os.MkdirAll(l.Paths.Cache(heretest.Stack), 0o700); err != nil {
		t.Fatal(err)
	}
	mounted := false
	m := machinetest.NewFake()
	m.Handle(func(_ context.Context, p machinetest.Process) int {
		mounted = p.Argv[2] != "stop"
		return 0
	}, "systemctl")
	l.Machine = m
	started := l.Engine.OnStart
	l.Engine.OnStart = func(c stacktest.Container) int {
		if !mounted {
			t.Errorf("%s was started while its shared volume was not mounted", c.Image)
		}
		if started == nil {
			return -1
		}
		return started(c)
	}
}

// TestARestoreKeepsSharedVolumesMounted: a stack that was stopped for a moment ran without
// its shared volumes until the daemon looked.
func TestARestoreKeepsSharedVolumesMounted(t *testing.T) {
	t.Parallel()
	l := agenttest.NewLived(t)
	sharing(t, l)
	l.Wish("one")
	if receipt := l.Apply(); receipt.Error != nil || l.Data() != "as it was" {
		t.Errorf("%+v, %q", receipt, l.Data())
	}
}

// TestAFailedUpgradeKeepsSharedVolumesMounted: so it was with the version before.
func TestAFailedUpgradeKeepsSharedVolumesMounted(t *testing.T) {
	t.Parallel()
	l := agenttest.NewLived(t)
	l.Migrates()
	sharing(t, l)
	if receipt := l.Apply(); receipt.Error == nil {
		t.Errorf("%+v", receipt)
	}
	l.CheckBack()
}
