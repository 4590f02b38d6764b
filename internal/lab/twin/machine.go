package twin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path"
	"slices"
	"strings"
	"sync"

	"salvor/internal/lab/twin/restic"
	"salvor/internal/machine"
	"salvor/internal/machine/debiantest"
	"salvor/internal/snapshot"
)

// Programs of a host that its process starts, by what their argv begins with.
const (
	resticPath = "/usr/bin/restic"
	helperName = "ns-exec"
	guardName  = "guard"
)

// files are what package stack keeps on a host: in memory, since nothing else reads it.
// Folders exist once they are made.
type files struct {
	mu  sync.Mutex
	all map[string][]byte
	dir map[string]bool
}

func newFiles() *files { return &files{all: map[string][]byte{}, dir: map[string]bool{}} }

// Read implements docker.Files.
func (f *files) Read(name string) ([]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	content, ok := f.all[name]
	return content, ok
}

// Exists implements docker.Files.
func (f *files) Exists(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dir[name] || f.all[name] != nil
}

// remove takes away what is at a path and below it.
func (f *files) remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.all {
		if p == name || strings.HasPrefix(p, name+"/") {
			delete(f.all, p)
		}
	}
	for p := range f.dir {
		if p == name || strings.HasPrefix(p, name+"/") {
			delete(f.dir, p)
		}
	}
}

// prepared is the host as package hostprep sees it.
type prepared struct {
	*debiantest.Host
	p *process
}

// Run implements machine.Machine.
func (m prepared) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	if err := m.p.edge(ctx, "run "+c.Argv[0]); err != nil {
		return machine.Output{}, err
	}
	return m.Host.Run(ctx, c)
}

// WriteFile implements machine.Machine.
func (m prepared) WriteFile(ctx context.Context, name string, content io.Reader, mode fs.FileMode) error {
	if err := m.p.edge(ctx, "write "+name); err != nil {
		return err
	}
	return m.Host.WriteFile(ctx, name, content, mode)
}

// working is the host as packages stack and snapshot see it.
type working struct {
	h *host
	p *process
}

// Run implements machine.Machine.
func (m working) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	ctx, cancel := c.WithTimeout(ctx)
	defer cancel()
	if err := m.p.edge(ctx, "run "+strings.Join(c.Argv[:min(2, len(c.Argv))], " ")); err != nil {
		return machine.Output{}, err
	}
	out, err := m.program(ctx, c)
	if dead := m.p.edge(ctx, "ran "+c.Argv[0]); dead != nil {
		return machine.Output{}, dead
	}
	return out, err
}

func (m working) program(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	switch c.Argv[0] {
	case "docker":
		return m.h.engine.Run(c)
	case helperName:
		return restic.Run(ctx, c, m.h.dialRestic)
	case guardName:
		return machine.Output{}, m.guard(ctx, c)
	case resticPath:
		return machine.Output{Stdout: []byte(restic.Version)}, nil
	case "pidof":
		return machine.Output{}, &machine.ExitError{Argv: c.Argv, Code: 1}
	}
	return m.coreutil(c)
}

// coreutil knows the small programs with which package stack keeps its files.
func (m working) coreutil(c machine.Cmd) (machine.Output, error) {
	f, operands := m.h.files, c.Argv[slices.Index(c.Argv, "--")+1:]
	switch c.Argv[0] {
	case "mktemp":
		return machine.Output{Stdout: []byte("/tmp/made\n")}, nil
	case "mkdir":
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, name := range operands {
			f.dir[name] = true
		}
	case "rm":
		for _, name := range operands {
			f.remove(name)
		}
	case "test":
		if !f.Exists(c.Argv[len(c.Argv)-1]) {
			return machine.Output{}, &machine.ExitError{Argv: c.Argv, Code: 1}
		}
	case "ln", "chmod":
	default:
		return machine.Output{}, &machine.ExitError{Argv: c.Argv, Code: 127, Stderr: []byte(c.Argv[0] + ": not found")}
	}
	return machine.Output{}, nil
}

// guard is the guardian, which outlives the process that started it: whichever way that
// ends, the stack continues.
func (m working) guard(ctx context.Context, c machine.Cmd) error {
	if _, err := io.WriteString(c.Stdout, "ready\n"); err != nil {
		return err
	}
	said, _ := io.ReadAll(c.Stdin) // an error is an end like any other
	if string(said) == "done\n" && !m.p.killed() || !m.h.powered() {
		return nil
	}
	guardian, ctx := newProcess(context.WithoutCancel(ctx), "guard", m.h)
	h, end := m.h.agent(guardian)
	defer end()
	stack := c.Argv[len(c.Argv)-1]
	return snapshot.Resume(ctx, h.Snapshots.Dirs, stack, h.Quiescer(stack), true)
}

// ReadFile implements machine.Machine.
func (m working) ReadFile(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	content, ok := m.h.files.Read(path.Clean(name))
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return content, nil
}

// WriteFile implements machine.Machine.
func (m working) WriteFile(ctx context.Context, name string, content io.Reader, _ fs.FileMode) error {
	if err := m.p.edge(ctx, "write "+path.Base(name)); err != nil {
		return err
	}
	data, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	m.h.files.mu.Lock()
	defer m.h.files.mu.Unlock()
	m.h.files.all[path.Clean(name)] = data
	return nil
}

// Dial implements machine.Machine: what listens is the engine.
func (m working) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := m.p.edge(ctx, "engine"); err != nil {
		return nil, err
	}
	if network != "unix" {
		return nil, fmt.Errorf("dial %s %s: %w", network, addr, errors.ErrUnsupported)
	}
	return m.h.engine.Dial(), nil
}

// Close implements machine.Machine.
func (m working) Close() error { return nil }
