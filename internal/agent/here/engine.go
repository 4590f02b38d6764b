package here

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"syscall"

	"salvor/internal/agentapi"
	"salvor/internal/docker"
	"salvor/internal/fleet"
	"salvor/internal/journal"
	"salvor/internal/machine"
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

// containersFolder has a folder for each container, also while the engine does not run.
const containersFolder = "/var/lib/docker/containers"

// Containers returns the names of the containers that a machine has, whatever made them and
// whether they run, or says why they can't be listed.
func Containers(ctx context.Context, m machine.Machine) (names []string, unseen string) {
	engine := docker.New(m)
	defer engine.Close()
	all, err := engine.All(ctx)
	if NoEngine(err) {
		out, err := m.Run(ctx, machine.Command("ls", "-A", containersFolder))
		if err == nil && len(out.Stdout) > 0 {
			return nil, "it has containers, but its Docker engine does not run"
		}
		return nil, ""
	}
	if err != nil {
		return nil, err.Error()
	}
	for _, c := range all {
		names = append(names, cmp.Or(c.Name, c.ID))
	}
	return names, ""
}

// Stopped returns the containers that a restart of a machine's Docker stops: those that
// run, and none where the engine keeps them running.
func Stopped(ctx context.Context, m machine.Machine) ([]string, error) {
	engine := docker.New(m)
	defer engine.Close()
	kept, err := engine.LiveRestore(ctx)
	if NoEngine(err) || kept {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	running, err := engine.Running(ctx)
	var names []string
	for _, c := range running {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names, err
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
