// Package observe reads the state of a machine: files, units, packages, users
// and kernel settings. Each kind of fact is read once for all callers, so
// that a plan over fifty resources costs a handful of reads.
package observe

import (
	"context"
	"io/fs"
	"sync"
	"time"

	"salvor/internal/machine"
)

// deadline limits each look at the machine. They take milliseconds; a minute
// means that the machine is in trouble.
const deadline = time.Minute

// A Query names what will be asked for, so that it can be read at once.
// Packages, users and groups are always read whole and need no naming.
type Query struct {
	Paths []string // whose File is asked for
	Units []string // whose Unit is asked for, with suffix: "docker.service"
}

// A Host is a machine with what was read of it. Facts are read when first
// asked for and never again: a Host is a moment, not a view. Methods are safe
// for concurrent use and write nothing.
type Host struct {
	machine.Machine
	query    Query
	began    time.Time
	files    once[map[string]File]
	units    once[map[string]Unit]
	packages once[map[string]Package]
	users    once[map[string]User]
	groups   once[map[string]Group]
}

// New returns a Host of the machine at this moment, for the given queries. It
// reads nothing yet.
func New(m machine.Machine, queries ...Query) *Host {
	h := &Host{Machine: m, began: time.Now()}
	for _, q := range queries {
		h.query.Paths = append(h.query.Paths, q.Paths...)
		h.query.Units = append(h.query.Units, q.Units...)
	}
	return h
}

// Began returns when the Host was made.
func (h *Host) Began() time.Time { return h.began }

// File returns what is at path, without following a symbolic link. Nothing
// there is no error: see File.Exists.
func (h *Host) File(ctx context.Context, path string) (File, error) {
	files, err := h.files.get(func() (map[string]File, error) { return readFiles(ctx, h.Machine, h.query.Paths) })
	if err != nil {
		return File{}, err
	}
	if f, ok := files[path]; ok {
		return f, nil
	}
	files, err = readFiles(ctx, h.Machine, []string{path})
	return files[path], err
}

// Unit returns the state of a systemd unit. One that does not exist is not an error:
// see Unit.Exists.
func (h *Host) Unit(ctx context.Context, name string) (Unit, error) {
	units, err := h.units.get(func() (map[string]Unit, error) { return readUnits(ctx, h.Machine, h.query.Units) })
	if err != nil {
		return Unit{}, err
	}
	if u, ok := units[name]; ok {
		return u, nil
	}
	units, err = readUnits(ctx, h.Machine, []string{name})
	return units[name], err
}

// Packages returns every package that dpkg knows, by name.
func (h *Host) Packages(ctx context.Context) (map[string]Package, error) {
	return h.packages.get(func() (map[string]Package, error) { return readPackages(ctx, h.Machine) })
}

// Users returns the users of /etc/passwd by name.
func (h *Host) Users(ctx context.Context) (map[string]User, error) {
	return h.users.get(func() (map[string]User, error) {
		return parsed(ctx, h.Machine, "/etc/passwd", ParsePasswd)
	})
}

// Groups returns the groups of /etc/group by name.
func (h *Host) Groups(ctx context.Context) (map[string]Group, error) {
	return h.groups.get(func() (map[string]Group, error) {
		return parsed(ctx, h.Machine, "/etc/group", ParseGroup)
	})
}

func parsed[T any](ctx context.Context, m machine.Machine, path string, parse func([]byte) (T, error)) (T, error) {
	content, err := m.ReadFile(ctx, path)
	if err != nil {
		var zero T
		return zero, err
	}
	return parse(content)
}

// once is a value that is read at most once, at the first use.
type once[T any] struct {
	mu   sync.Mutex
	done bool
	v    T
	err  error
}

func (o *once[T]) get(read func() (T, error)) (T, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.done {
		o.v, o.err = read()
		o.done = true
	}
	return o.v, o.err
}

// A File is what is at a path.
type File struct {
	Exists   bool
	Mode     fs.FileMode // type and permissions
	UID, GID int
	Size     int64
	Modified time.Time
}
