// Package debiantest is a Debian host in memory: a machine.Machine with files,
// systemd units, packages and accounts, on which the programs that Salvor runs
// to prepare a host do what they do on a real one. Unknown programs end with an
// error, so that a test shows what it needs.
package debiantest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"salvor/internal/machine"
)

// A Host is the machine. Its zero value is not ready: use New. Fields are set
// before it is used.
type Host struct {
	Available map[string]Package                                  // what apt can install once lists are fetched
	Programs  map[string]func(*Host, machine.Cmd) (string, error) // further programs, called locked

	mu      sync.Mutex
	now     time.Time
	nodes   map[string]*node
	loaded  map[string]loadedUnit // by name: what systemd has read of a unit
	runs    map[string]runState
	pending []string // packages that dpkg was interrupted in
	updates int      // of dpkg's that are not in its status file
	lists   []string // packages that apt's lists name
	calls   []string
}

// A Package is a package in the repository and the unit it brings and starts.
type Package struct {
	Version string
	Unit    string
	Program string // its path, "" for none that matters
}

type node struct {
	mode         fs.FileMode
	owner, group string
	content      []byte
	modified     time.Time
}

type loadedUnit struct{ modified time.Time }

type runState struct {
	active, skipped bool
	since           time.Time
}

// New returns a host as debootstrap leaves it: root, a few folders, no package
// known to apt until its lists are fetched.
func New() *Host {
	h := &Host{
		Available: map[string]Package{},
		Programs:  map[string]func(*Host, machine.Cmd) (string, error){},
		now:       time.Now().Add(-time.Hour).UTC().Truncate(time.Second),
		nodes:     map[string]*node{},
		loaded:    map[string]loadedUnit{},
		runs:      map[string]runState{},
	}
	for _, dir := range []string{
		"/", "/etc", "/etc/apt", "/etc/apt/keyrings", "/etc/apt/sources.list.d", "/etc/sysctl.d", "/etc/systemd", unitDir, "/etc/tmpfiles.d",
		"/proc", "/run", "/usr", "/usr/bin", "/usr/local", "/usr/local/bin", "/usr/lib", packagedUnits, "/var", "/var/lib", "/var/lib/dpkg", updatesPath, "/mnt", "/home",
	} {
		h.nodes[dir] = &node{mode: fs.ModeDir | 0o755, owner: "root", group: "root", modified: h.now}
	}
	h.Put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n", 0o644)
	h.Put("/etc/group", "root:x:0:\n", 0o644)
	h.Put(statusPath, "", 0o644)
	h.Put("/etc/os-release", "ID=debian\nVERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n", 0o644)
	return h
}

// Put writes a file of root's, as if it had always been there.
func (h *Host) Put(name, content string, mode fs.FileMode) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.PutLocked(name, content, mode)
}

// PutLocked is Put for the functions in Programs, which run with the host
// locked.
func (h *Host) PutLocked(name, content string, mode fs.FileMode) {
	for dir := path.Dir(name); h.nodes[dir] == nil; dir = path.Dir(dir) {
		h.nodes[dir] = &node{mode: fs.ModeDir | 0o755, owner: "root", group: "root", modified: h.now}
	}
	h.put(name, []byte(content), mode)
}

func (h *Host) put(name string, content []byte, mode fs.FileMode) {
	h.nodes[name] = &node{mode: mode, owner: "root", group: "root", content: content, modified: h.tick()}
}

// Remove takes a file away.
func (h *Host) Remove(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.nodes, name)
}

// tick moves the host's clock, so that no two writes have one time.
func (h *Host) tick() time.Time {
	h.now = h.now.Add(time.Millisecond)
	return h.now
}

// InterruptDpkg leaves a package unpacked, as a power cut does: what dpkg has done is in its
// updates, and the status file does not have it yet.
func (h *Host) InterruptDpkg(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pending = append(h.pending, name)
	for _, state := range []string{"reinstreq half-installed", "reinstreq unpacked", "ok unpacked"} {
		h.PutLocked(fmt.Sprintf("%s/%04d", updatesPath, h.updates), fmt.Sprintf("Package: %s\nStatus: install %s\nVersion: %s\n", name, state, h.Available[name].Version), 0o644)
		h.updates++
	}
}

// State is everything that a test may compare before and after, one line each:
// files without their times, units, packages.
func (h *Host) State() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h.nodes)) {
		n := h.nodes[name]
		fmt.Fprintf(&b, "%s %s %s:%s %q\n", name, n.mode, n.owner, n.group, n.content)
	}
	for _, name := range slices.Sorted(maps.Keys(h.runs)) {
		fmt.Fprintf(&b, "unit %s active=%t\n", name, h.runs[name].active)
	}
	return b.String()
}

// Calls returns the programs that were run, as command lines.
func (h *Host) Calls() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// Run implements machine.Machine.
func (h *Host) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	if err := ctx.Err(); err != nil {
		return machine.Output{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, strings.Join(c.Argv, " "))
	out, err := h.dispatch(c)
	if c.Stdout != nil {
		if _, err := io.WriteString(c.Stdout, out); err != nil {
			return machine.Output{}, err
		}
		out = ""
	}
	return machine.Output{Stdout: []byte(out)}, err
}

// ReadFile implements machine.Machine.
func (h *Host) ReadFile(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.nodes[name]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return bytes.Clone(n.content), nil
}

// WriteFile implements machine.Machine.
func (h *Host) WriteFile(ctx context.Context, name string, content io.Reader, mode fs.FileMode) error {
	data, err := io.ReadAll(content)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if parent := h.nodes[path.Dir(name)]; parent == nil {
		return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if old := h.nodes[name]; old != nil && !old.mode.IsRegular() {
		return fmt.Errorf("%s exists and is not a regular file", name)
	}
	h.put(name, data, mode)
	h.nodes[path.Dir(name)].modified = h.now
	return nil
}

// Dial implements machine.Machine: nothing listens here.
func (h *Host) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("connection refused")
}

// Close implements machine.Machine.
func (h *Host) Close() error { return nil }

func exit(c machine.Cmd, code int, stderr string) error {
	return &machine.ExitError{Argv: c.Argv, Code: code, Stderr: []byte(stderr)}
}
