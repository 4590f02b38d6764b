package leaving

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/hold"
	"salvor/internal/hostpath"
	"salvor/internal/hostprep"
	"salvor/internal/machine"
	"salvor/internal/progress"
	"salvor/internal/stack"
	"salvor/internal/wayin"
)

// ErrHasStacks means that a host still runs stacks for the fleet.
var ErrHasStacks = errors.New("the host still has stacks")

const (
	unit       = "salvord.service"
	aptTimeout = 5 * time.Minute
)

// Leave removes Salvor from a host that has no stack: its service, its notes and keys, and
// last its program. Docker, its configuration and all data stay. It may be called again.
func (h Host) Leave(ctx context.Context, req agentapi.Leave, sink progress.Sink) (agentapi.Left, error) {
	var left agentapi.Left
	lock, err := h.Lock(ctx, req.Owner, req.Message, sink)
	if err != nil {
		return left, err
	}
	defer lock.Release()
	spec, err := h.ReadSpec()
	if err != nil {
		return left, err
	}
	if len(spec.Stacks) > 0 {
		return left, fault.WithHint(fmt.Errorf("%w: %s", ErrHasStacks, spec.Stacks[0].Name), "salvor host release "+spec.Name+" gives them back first")
	}
	projects := func(ctx context.Context) ([]string, error) { return h.leaveProjects(ctx, spec.Projects) }
	for _, step := range []struct {
		name string
		do   func(context.Context) ([]string, error)
	}{
		{"leave-routes", h.leaveRoutes}, {"leave-service", h.leaveService}, {"leave-projects", projects}, {"leave-way-in", h.leaveWayIn}, {"leave-trials", h.leaveTrials}, {"leave-packages", h.leavePackages}, {"leave-memory", h.leaveMemory},
		{"leave-state", h.leaveState}, {"leave-keys", h.leaveKeys}, {"leave-program", h.leaveProgram},
	} {
		removed, err := step.do(ctx)
		if err != nil {
			return left, fmt.Errorf("remove Salvor: %w", err)
		}
		left.Removed = append(left.Removed, removed...)
		hold.At(ctx, step.name)
	}
	return left, nil
}

func (h Host) leaveService(ctx context.Context) ([]string, error) {
	_, err := h.Machine.Run(ctx, machine.Command("systemctl", "disable", "--now", unit))
	if exit := (*machine.ExitError)(nil); errors.As(err, &exit) && notThere(string(exit.Stderr)) {
		err = nil // it was removed before
	}
	if err != nil {
		return nil, err
	}
	if _, err := h.Machine.Run(ctx, machine.Command("rm", "-f", "--", "/etc/systemd/system/"+unit, "/etc/systemd/system/"+hostprep.MountUnit, "/etc/tmpfiles.d/salvor.conf")); err != nil {
		return nil, err
	}
	_, err = h.Machine.Run(ctx, machine.Command("systemctl", "daemon-reload"))
	return []string{unit}, err
}

func (h Host) leaveWayIn(ctx context.Context) ([]string, error) { return wayin.Leave(ctx, h.Machine) }

func notThere(stderr string) bool {
	return strings.Contains(stderr, "does not exist") || strings.Contains(stderr, "not loaded") || strings.Contains(stderr, "not found")
}

// leaveProjects removes the containers of the host's own projects: what they need is in memory,
// so they would end with the next boot anyway.
func (h Host) leaveProjects(ctx context.Context, projects []agentapi.OwnProject) (left []string, err error) {
	for _, p := range projects {
		err := h.Stacks.Down(ctx, p.Name)
		if here.NoEngine(err) {
			return nil, nil
		}
		if err != nil {
			return left, err
		}
		left = append(left, "project "+p.Name)
	}
	return left, nil
}

// leaveTrials removes the databases that a killed snapshot or restore was loading.
func (h Host) leaveTrials(ctx context.Context) ([]string, error) {
	if err := stack.EndIsolated(ctx, h.Stacks); !here.NoEngine(err) {
		return nil, err
	}
	return nil, nil
}

// leavePackages removes the packages that Salvor installed for its own work.
func (h Host) leavePackages(ctx context.Context) (left []string, err error) {
	for _, name := range hostprep.OwnPackages() {
		if !here.Brought(h.Host, name) {
			continue
		}
		if _, err := h.Machine.Run(ctx, machine.Cmd{Argv: []string{"apt-get", "remove", "--yes", "--no-auto-remove", name}, Env: []string{"DEBIAN_FRONTEND=noninteractive"}, Timeout: aptTimeout}); err != nil {
			return left, err
		}
		left = append(left, "package "+name)
	}
	return left, nil
}

// leaveMemory removes secrets and gates. The locks stay for the moment: this run holds one.
func (h Host) leaveMemory(context.Context) ([]string, error) {
	secrets := string(h.Paths.Secrets())
	if err := unix.Unmount(secrets, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("unmount %s: %w", secrets, err)
	}
	for _, dir := range []string{secrets, h.Paths.Gates(), h.Paths.Logins()} {
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// leaveState removes Salvor's notes, and keeps the data that it chose a folder for.
func (h Host) leaveState(context.Context) ([]string, error) {
	data := h.Paths.VolumesFolder()
	stacks, err := os.ReadDir(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, s := range stacks {
		if err := removeMarkers(filepath.Join(data, s.Name())); err != nil {
			return nil, err
		}
	}
	_ = os.Remove(data) // one with data stays
	entries, err := os.ReadDir(h.Paths.State)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if path := filepath.Join(h.Paths.State, e.Name()); path != data {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	if err == nil {
		_ = os.Remove(h.Paths.State)
		_ = os.Remove(h.Paths.Shared)
	}
	return []string{h.Paths.State}, err
}

func (h Host) leaveKeys(context.Context) ([]string, error) {
	return []string{h.Paths.Config}, os.RemoveAll(h.Paths.Config)
}

func (h Host) leaveProgram(ctx context.Context) ([]string, error) {
	_, err := h.Machine.Run(ctx, machine.Command("rm", "-f", "--", hostpath.Salvord))
	return []string{hostpath.Salvord}, errors.Join(err, os.RemoveAll(h.Paths.Run))
}
