// Package snapshot takes, keeps and restores the data of one stack's volumes,
// with restic repositories on any blob.Store. It runs on the host, as root.
//
// A snapshot is green only when the remote has it, read back. Newest means (epoch,
// sequence), never time. A volume starts only when its marker says that its data is
// ready here; restored data is kept next to the volume until it is verified, and the
// data that it replaces is kept.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"salvor/internal/blob"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/machine"
	"salvor/internal/progress"
	"salvor/internal/secret"
	"salvor/internal/snapshot/nsexec"
	"salvor/internal/snapshot/repository"
	"salvor/internal/snapshot/restic"
	"salvor/internal/snapshot/restserver"
)

// ErrNoRepository means: the remote answers, and there is no repository.
var ErrNoRepository = errors.New("there is no snapshot repository")

// ErrNoSnapshot means: the repository holds nothing that can be restored.
var ErrNoSnapshot = errors.New("there is no usable snapshot")

// Engine is what snapshots need of a host, for every stack on it.
type Engine struct {
	Host     machine.Machine // this host
	Helper   []string        // argv of the verb that calls nsexec.Main
	Guardian []string        // argv of the verb that calls Guard; the stack's name is appended
	Restic   string          // absolute path
	Dirs     hostpath.Layout // folders are made when missing
	Progress progress.Sink
	Now      func() time.Time // by which a repository is looked at again; nil for the clock

	Listen func(context.Context) (net.Listener, error) // opens what restic reaches a repository at; nil for a free loopback port
}

// Repository is one stack's repository on one target.
type Repository struct {
	ID       string     // names the cache
	Store    blob.Store // its folder on the remote
	Password secret.Value
	Spare    repository.Spare  // copies of the files that open it, where the caller has them
	Damaged  map[string]string // snapshots that the caller knows to be damaged, and why
	Trust    Trust             // which of its snapshots may be believed

	appends bool // by AppendOnly
}

// Volume is one protected volume of a stack.
type Volume struct {
	Name    string       // in the stack
	Path    string       // where its data is: a Docker volume's _data, or a bind's source
	Method  fleet.Method // how a consistent copy is got
	Service string       // the database's, for native methods
	MountAt string       // where Service has the volume
	Omit    fleet.Omission

	Formerly string // its name before it was renamed; older snapshots have it under that
}

// A Command runs inside a service's container.
type Command struct {
	Service string
	User    string // "" for the image's
	Argv    []string
	Stdin   io.Reader // nil for none
	Stdout  io.Writer
}

// A Runner runs programs in the running containers of one stack. A non-zero
// exit is an error that holds the tail of stderr.
type Runner interface {
	Exec(ctx context.Context, c Command) error
}

// A Quiescer holds one stack's containers still.
type Quiescer interface {
	// Pause stops the containers of services that are to be stopped, freezes every other one that
	// runs, and leaves those alone that do not. Before it does so to any it calls record with
	// all that it has held or is about to, in words that Unpause knows; it may do so more than once.
	// After an error all of them continue, as far as it could see.
	Pause(ctx context.Context, record func(held []string) error) error
	// Unpause makes containers continue that are held, all of the stack that are paused where none
	// is named, and returns when it has seen that none of them is. It may be
	// called when none is, and twice.
	Unpause(ctx context.Context, held ...string) error
	// Started names the containers that started since a time, without those that it starts itself.
	Started(ctx context.Context, since time.Time) ([]string, error)
}

// DirName is the name of a volume's folder in snapshots and of its files on the
// host: the volume's name, with a bind's slashes escaped.
func DirName(volume string) string { return url.PathEscape(volume) }

const metaDir = ".salvor"

// inside is a path within a snapshot.
func inside(stack string, elem ...string) string {
	return filepath.Join(append([]string{nsexec.Root, stack}, elem...)...)
}

// ValidVolume reports why a volume's name or path can't be protected.
func ValidVolume(v Volume) error {
	switch {
	case v.Name == "" || DirName(v.Name) == metaDir || v.Name == "." || v.Name == "..":
		return fmt.Errorf("%q is not a volume name", v.Name)
	case !filepath.IsAbs(v.Path) || filepath.Clean(v.Path) != v.Path || v.Path == "/":
		return fmt.Errorf("volume %s: %q is not an absolute path", v.Name, v.Path)
	}
	return nil
}

func (e Engine) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}

func (e Engine) scope(stack string) progress.Scope {
	return progress.Scope{Sink: e.Progress, Stack: stack}
}

// dir makes and returns a private folder below State.
func (e Engine) dir(elem ...string) (string, error) {
	path := filepath.Join(append([]string{e.Dirs.State}, elem...)...)
	return path, os.MkdirAll(path, 0o700)
}

// session is restic and its way to one repository, for one operation.
type session struct {
	program restic.Program
	server  *restserver.Server
	repo    restic.Repository
	spool   string
}

// open starts a session. Its context ends, with the reason as its cause, when the
// store fails permanently.
func (e Engine) open(ctx context.Context, r Repository, o restserver.Options, epoch int) (context.Context, *session, error) {
	version, err := restic.Detect(ctx, e.Host, e.Restic)
	if err != nil {
		return ctx, nil, err
	}
	cache, err := e.dir(hostpath.Cache, r.ID)
	if err != nil {
		return ctx, nil, err
	}
	spool, err := e.spool(r)
	if err != nil {
		return ctx, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	o.Store, o.Spool, o.Abort, o.Listen = r.Store, spool, cancel, e.Listen
	server, err := restserver.Start(ctx, o)
	if err != nil {
		cancel(err)
		return ctx, nil, errors.Join(err, os.RemoveAll(spool))
	}
	return ctx, &session{
		program: restic.Program{
			Host: e.Host, Helper: e.Helper, Path: e.Restic, Version: version,
			Cache: cache, Temp: spool, Name: lockName(epoch),
		},
		server: server, repo: restic.Repository{URL: server.URL(), Password: r.Password}, spool: spool,
	}, nil
}

// spool makes the folder of one operation. What a run that was killed has left
// of dumps and packs goes first: one operation per repository runs at a time.
func (e Engine) spool(r Repository) (string, error) {
	parent, err := e.dir(hostpath.Spool, r.ID)
	if err != nil {
		return "", err
	}
	left, err := os.ReadDir(parent)
	for _, entry := range left {
		err = errors.Join(err, os.RemoveAll(filepath.Join(parent, entry.Name())))
	}
	if err != nil {
		return "", err
	}
	return os.MkdirTemp(parent, "run-")
}

func (s *session) close() error {
	return errors.Join(s.server.Close(), os.RemoveAll(s.spool))
}

// withCause prefers the reason why a context was ended over what followed of it.
func withCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// stamp is a time as it is in file names: it sorts, and no two runs share one.
func stamp(t time.Time) string { return t.UTC().Format(stampForm) }

const stampForm = "20060102T150405.000000Z"
