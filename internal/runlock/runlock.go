// Package runlock lets one run at a time work on a host or a stack; the error of a
// second run says who has the lock, since when, and for what.
package runlock

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"salvor/internal/fault"

	"golang.org/x/sys/unix"
)

// A Holder says who holds a lock and what for.
type Holder struct {
	Owner   string    `json:"owner"`
	Message string    `json:"message"`
	Since   time.Time `json:"since"`
}

// A HeldError is what the second of two runs gets.
type HeldError struct {
	Name   string
	Holder Holder
}

// ExitCode implements fault.Coder.
func (e *HeldError) ExitCode() int { return fault.Locked }

// Error names who holds the lock.
func (e *HeldError) Error() string {
	if e.Holder.Owner == "" {
		return e.Name + " is locked by another run"
	}
	return fmt.Sprintf("%s is locked by %s since %s: %s", e.Name, e.Holder.Owner, e.Holder.Since.UTC().Format(time.RFC3339), e.Holder.Message)
}

// A Lock is held until Release or until the process ends, however it ends.
type Lock struct{ file *os.File }

// Acquire takes the lock called name in dir, which must exist, or returns a
// *HeldError at once. The kernel drops the lock with the process that holds it
// (flock(2)), so none is ever stale.
func Acquire(dir, name string, h Holder) (*Lock, error) {
	f, err := os.OpenFile(filepath.Join(dir, name+".lock"), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		held := &HeldError{Name: name, Holder: readHolder(f)}
		return nil, errors.Join(held, f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	if err := writeHolder(f, h); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Lock{file: f}, nil
}

// Briefly does work while no one else does any under the same name in dir, which must exist. It
// waits for that without an end, so the work is one that takes no time, such as to change a file.
func Briefly(dir, name string, work func() error) error {
	f, err := os.OpenFile(filepath.Join(dir, name+".lock"), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	l := &Lock{file: f}
	defer l.Release()
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return work()
}

// Held returns who holds a lock, false if no one does. It looks for a moment, in
// which an Acquire may fail.
func Held(dir, name string) (Holder, bool) {
	f, err := os.Open(filepath.Join(dir, name+".lock"))
	if err != nil {
		return Holder{}, false
	}
	defer f.Close()
	if !errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK) {
		return Holder{}, false
	}
	return readHolder(f), true
}

// readHolder tolerates a file caught between truncation and writing: the lock is held
// anyway, only its holder is unknown.
func readHolder(f *os.File) Holder {
	var h Holder
	if json.NewDecoder(io.NewSectionReader(f, 0, 1<<16)).Decode(&h) != nil {
		return Holder{}
	}
	return h
}

func writeHolder(f *os.File, h Holder) error {
	content, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	return err
}

// Release ends the lock. It may be called twice.
func (l *Lock) Release() {
	// a child that is being started has a copy of the descriptor until it runs its own
	// program, and closing ours alone would leave the lock to it; there is nothing to lose
	_ = unix.Flock(int(l.file.Fd()), unix.LOCK_UN)
	_ = l.file.Close()
}
