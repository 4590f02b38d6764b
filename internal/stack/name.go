package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"salvor/internal/docker"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/machine"
	"salvor/internal/project"
)

// nameFile, in a stack's folder, has the name of its Compose project where that is not
// the stack's own. It is written before anything of the project exists, so that anyone who
// stops the stack later stops its containers, whatever Git says by then.
const nameFile = "name"

// ErrRenamed means that a stack is asked to run as another Compose project than the one
// whose containers are here: two of them would write to its data.
var ErrRenamed = errors.New("it runs here as another Compose project")

// Wanting returns the stacks of h, where those that were never here have these names as
// Compose projects: to look at what a plan asks for.
func Wanting(h *Host, names map[string]string) *Host {
	as := *h
	as.wanted = names
	return &as
}

// ProjectName returns the name of a stack's Compose project.
func (h *control) ProjectName(ctx context.Context, stack string) (string, error) {
	before, err := noted(ctx, h.machine, stack)
	return cmp.Or(before, h.wanted[stack], stack), err
}

// noted returns the name that a stack's project has here, "" for its own.
func noted(ctx context.Context, m machine.Machine, stack string) (string, error) {
	file := path.Join(hostpath.Default().Project(stack), nameFile)
	content, err := m.ReadFile(ctx, file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(string(content))
	if !fleet.IsProjectName(name) {
		return "", fault.WithHint(fmt.Errorf("stack %s: %s is damaged", stack, file), "write the name of its Compose project into it; docker compose ls --all shows it")
	}
	return name, nil
}

// containers lists those of a stack.
func (h *control) containers(ctx context.Context, stack string) ([]docker.Container, error) {
	name, err := h.ProjectName(ctx, stack)
	if err != nil {
		return nil, err
	}
	return h.engine.Containers(ctx, name)
}

// Renamed returns the name of the stack's Compose project here, where Salvor started it and
// wanted is another one; "" where wanted may be deployed.
func (p Project) Renamed(ctx context.Context, wanted project.Project) (string, error) {
	before, err := noted(ctx, p.host.machine, p.name)
	was := cmp.Or(before, p.name)
	if err != nil || was == wanted.Called(p.name) {
		return "", err
	}
	_, ours, err := p.host.Deployed(ctx, p.name)
	if err != nil {
		return "", err
	}
	left, err := p.host.engine.Containers(ctx, was)
	if err != nil || len(left) == 0 || !ours && !slices.ContainsFunc(left, Gated) {
		return "", err
	}
	return was, nil
}

// RenamedFix says what to do about ErrRenamed.
func RenamedFix(was string) string {
	return fmt.Sprintf("set x-salvor.project: %[1]s; or, if its data may stay behind: docker compose --project-name %[1]s down on the host, then salvor apply", was)
}

// Call notes which Compose project the stack is from now on. The error wraps ErrRenamed
// where another one has containers here. It may be called again.
func (p Project) Call(ctx context.Context, wanted project.Project) error {
	was, err := p.Renamed(ctx, wanted)
	if err != nil {
		return err
	}
	if was != "" {
		return fault.WithHint(fmt.Errorf("stack %s: %w: %s", p.name, ErrRenamed, was), RenamedFix(was))
	}
	before, err := noted(ctx, p.host.machine, p.name)
	if err != nil || cmp.Or(before, p.name) == wanted.Called(p.name) {
		return err
	}
	dir := hostpath.Default().Project(p.name)
	if err := p.host.run(ctx, "mkdir", "-p", "-m", folderMode, "--", dir); err != nil {
		return err
	}
	return p.host.put(ctx, path.Join(dir, nameFile), []byte(wanted.Called(p.name)+"\n"), 0o644)
}
