package here

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"salvor/internal/delivery"
	"salvor/internal/fleet"
	"salvor/internal/gitread"
	"salvor/internal/memdir"
	"salvor/internal/record"
	"salvor/internal/storage"
)

// Edges are where a host meets the world beyond its machine. Each one that is nil
// is a real host's.
type Edges struct {
	Folders OpenFolder                                              // opens a place on a remote
	Copies  func(dir string, s gitread.Source) (ControlCopy, error) // opens the host's copy of the control repository
	Mount   func(root string) (memdir.Kind, error)                  // has secrets kept in memory below root
	Free    func()                                                  // gives memory back to the machine
	Now     func() time.Time                                        // when it is, for what is due

	Cloudflare http.RoundTripper                                              // leads to Cloudflare's API
	Listen     func(ctx context.Context, socket string) (net.Listener, error) // takes what programs on the host say
}

// OpenFolder opens a place on one of these remotes.
type OpenFolder func(ctx context.Context, remotes storage.Remotes, where fleet.Location) (record.Folder, error)

// A ControlCopy is a host's copy of the control repository's branch.
type ControlCopy interface {
	Fetch(ctx context.Context) (commit string, err error)
	File(commit, name string) ([]byte, error)
	Contains(commit string) (on, known bool)
}

func (h *Host) folders() OpenFolder {
	if h.Edges.Folders != nil {
		return h.Edges.Folders
	}
	return func(ctx context.Context, remotes storage.Remotes, where fleet.Location) (record.Folder, error) {
		return ComputerOf(h).Open(ctx, remotes, where)
	}
}

// ComputerOf returns what all processes of a host share on their way to remotes.
func ComputerOf(h *Host) storage.Computer {
	return storage.Computer{
		Tokens: storage.Tokens(filepath.Join(h.Paths.Run, "tokens")),
		Lines: storage.Lines{Dir: filepath.Join(h.Paths.Run, "lines"), Timetable: func(remote string) string {
			spec, err := h.ReadSpec()
			if err != nil {
				return "" // the host is of no use without it, and says so
			}
			return spec.Bandwidth[remote]
		}},
	}
}

// Copies returns what opens the host's copy of the control repository.
func (h *Host) Copies() func(string, gitread.Source) (ControlCopy, error) {
	if h.Edges.Copies != nil {
		return h.Edges.Copies
	}
	return func(dir string, s gitread.Source) (ControlCopy, error) { return gitread.Open(dir, s) }
}

// Free gives memory that is not used any more back to the machine, which others share: free
// heap, and pages of the program.
func (h *Host) Free() {
	if h.Edges.Free != nil {
		h.Edges.Free()
		return
	}
	debug.FreeOSMemory()
	_ = dropProgram() // the kernel takes them when it needs them
}

// Time is when it is, for what is due.
func (e *Edges) Time() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}

// Socket listens at a Unix socket that is root's alone, in place of one that a process before
// this one has left.
func (e *Edges) Socket(ctx context.Context, socket string) (net.Listener, error) {
	if e.Listen != nil {
		return e.Listen(ctx, socket)
	}
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Mount has secrets kept in memory below root.
func (h *Host) Mount(root string) (memdir.Kind, error) {
	if h.Edges.Mount != nil {
		return h.Edges.Mount(root)
	}
	return delivery.Mount(root)
}
