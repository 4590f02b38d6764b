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
	"salvor/internal/suggest"
)

// Files are those of one container.
type Files struct {
	control
	container docker.Container
}

// Files returns the files of a service's container: of one that runs, where there is any.
func (p Project) Files(ctx context.Context, service string) (Files, error) {
	all, err := p.containers(ctx, service)
	if err != nil {
		return Files{}, err
	}
	if i := slices.IndexFunc(all, func(c docker.Container) bool { return c.State == "running" }); i >= 0 {
		return Files{p.host.control, all[i]}, nil
	}
	return Files{p.host.control, all[0]}, nil
}

// containers returns those of a service. One that has none is an errNoContainer, which
// names the service that was probably meant.
func (p Project) containers(ctx context.Context, service string) ([]docker.Container, error) {
	all, err := p.host.containers(ctx, p.name)
	if err != nil {
		return nil, err
	}
	var known []string
	for _, c := range all {
		known = append(known, c.Service)
	}
	all = slices.DeleteFunc(all, func(c docker.Container) bool { return c.OneOff || c.Service != service })
	if len(all) == 0 {
		err = fmt.Errorf("stack %s %w %q%s", p.name, errNoContainer, service, suggest.DidYouMean(service, known))
	}
	return all, fault.WithHint(err, "salvor ps "+p.name)
}

var errNoContainer = errors.New("has no container of a service")

// Lacks is an error where it is certain that a service has no container.
func (p Project) Lacks(ctx context.Context, service string) error {
	if _, err := p.containers(ctx, service); errors.Is(err, errNoContainer) {
		return err
	}
	return nil
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
