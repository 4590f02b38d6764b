package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"salvor/internal/docker"
	"salvor/internal/fault"
	"salvor/internal/machine"
)

// Files are those of one container.
type Files struct {
	control
	container docker.Container
}

// Files returns the files of a service's container: of one that runs, where there is any.
func (p Project) Files(ctx context.Context, service string) (Files, error) {
	all, err := p.host.engine.Containers(ctx, p.name)
	if err != nil {
		return Files{}, err
	}
	all = slices.DeleteFunc(all, func(c docker.Container) bool { return c.OneOff || c.Service != service })
	if i := slices.IndexFunc(all, func(c docker.Container) bool { return c.State == "running" }); i >= 0 {
		return Files{p.host.control, all[i]}, nil
	}
	if len(all) > 0 {
		return Files{p.host.control, all[0]}, nil
	}
	return Files{}, fault.WithHint(fmt.Errorf("stack %s has no container of a service %q", p.name, service), "salvor ps "+p.name)
}

// CopyOut writes a file or folder of the container to a tar stream, as docker cp does.
func (f Files) CopyOut(ctx context.Context, from string, to io.Writer) error {
	return f.copy(ctx, machine.Cmd{Argv: []string{"docker", "cp", f.container.ID + ":" + from, "-"}, Stdout: to}, from)
}

// CopyIn unpacks a tar stream into a folder of the container.
func (f Files) CopyIn(ctx context.Context, dir string, from io.Reader) error {
	return f.copy(ctx, machine.Cmd{Argv: []string{"docker", "cp", "-", f.container.ID + ":" + dir}, Stdin: from}, dir)
}

func (f Files) copy(ctx context.Context, cmd machine.Cmd, at string) error {
	_, err := f.machine.Run(ctx, cmd)
	if errors.As(err, new(*machine.ExitError)) {
		err = lastLine(err)
	}
	if err != nil {
		err = fmt.Errorf("%s:%s: %w", f.container.Name, at, err)
	}
	return err
}

// PlaceFor says where in the container something goes that is called base: into to where
// that is a folder, else in its place. It returns the folder and the name in it.
func (f Files) PlaceFor(ctx context.Context, base, to string, isDir bool) (dir, name string, err error) {
	is, err := f.engine.Stat(ctx, f.container.ID, to)
	if err == nil && is.Mode&fs.ModeSymlink != 0 && is.LinkTarget != "" {
		is, err = f.engine.Stat(ctx, f.container.ID, is.LinkTarget)
	}
	missing := errors.Is(err, docker.ErrNoSuch)
	parent := path.Dir(path.Clean("/" + to))
	switch {
	case err == nil && is.Mode.IsDir():
		return to, base, nil
	case err == nil && isDir:
		return "", "", fmt.Errorf("%s:%s is not a folder", f.container.Name, to)
	case err != nil && !missing:
		return "", "", err
	case missing && !isDir && strings.HasSuffix(to, "/"):
		return "", "", fmt.Errorf("%s has no folder %s", f.container.Name, to)
	}
	if _, err := f.engine.Stat(ctx, f.container.ID, parent); errors.Is(err, docker.ErrNoSuch) {
		return "", "", fmt.Errorf("%s has no folder %s", f.container.Name, parent)
	}
	return parent, path.Base(path.Clean("/" + to)), nil
}
