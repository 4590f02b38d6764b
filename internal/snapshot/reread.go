package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"salvor/internal/fleet"
)

// rereading has what was written during a snapshot read again.
type rereading struct{ taking *taking }

// copiesPaused reports whether a volume's files are copied while the stack is held
// still.
func (r rereading) copiesPaused(v Volume) bool {
	return !r.taking.job.Stopped && v.Method != fleet.Live && !r.taking.dumps(v) && !copier{r.taking}.applies(v)
}

// flushMemory writes out what is in the memory of this host for the volumes' files, and
// notes since when. Through a mapping a program writes to a page that is dirty
// already without a new time for its file; to a clean one it can't, and neither
// through a mapping that is new. So a stack that does not run needs nothing.
func (r rereading) flushMemory() error {
	r.taking.clean = time.Now().UTC()
	for _, v := range r.taking.job.Volumes {
		if r.taking.job.Stopped || r.taking.dumps(v) {
			continue
		}
		f, err := os.Open(v.Path)
		if err == nil {
			err = errors.Join(writeOut(f), f.Close())
		}
		if ignoreVanished(err) != nil {
			return fmt.Errorf("write out what %s has in memory: %w", v.Path, err)
		}
	}
	return nil
}

// rereadBetween has the next pass read every file of these volumes again whose times are
// between two, or so shortly before that a later change could carry the same. By its
// times alone, a file that was written while it was read may look as it was read:
// twice within one tick of the kernel's clock, or through a mapping.
func (r rereading) rereadBetween(from, to time.Time, these func(Volume) bool) (seen ages, err error) {
	var errs []error
	for _, v := range r.taking.job.Volumes {
		if these(v) {
			errs = append(errs, seen.touchBetween(v, from.Add(-hotFor), to))
		}
	}
	return seen, errors.Join(errs...)
}

// rereadLast has every file read again that was written while the last snapshot was
// taken. Where nothing was written since, it returns once that is too long ago for
// the new one to doubt them too: else the stack would never look unchanged.
func (r rereading) rereadLast(ctx context.Context) error {
	if r.taking.state.Clean.IsZero() {
		return nil
	}
	seen, err := r.rereadBetween(r.taking.state.Clean, r.taking.state.Ended, func(v Volume) bool { return !r.taking.dumps(v) })
	if err != nil || seen.touched == 0 || seen.newer > 0 || r.taking.job.Stopped { // it is not to stand longer for that
		return err
	}
	select {
	case <-time.After(hotFor + hotFor/10):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ages counts files that were touched, and those that are newer.
type ages struct{ touched, newer int }

// touchBetween gives every file whose change time is between two a new one, which
// restic compares, and changes nothing else of it.
func (a *ages) touchBetween(v Volume, from, to time.Time) error {
	return ignoreVanished(kept(v.Path, v.Omit, func(n node) error {
		if !n.info.Mode().IsRegular() || changed(n.info).Before(from) {
			return nil
		}
		if changed(n.info).After(to) {
			a.newer++
			return nil
		}
		a.touched++
		return touch(n)
	}))
}

// touch sets the mode that a file has already. One that can't be changed by root
// was not changed by the stack.
func touch(n node) error {
	f, err := n.open()
	if err != nil || f == nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	err = unix.Fchmod(int(f.Fd()), uint32(info.Sys().(*syscall.Stat_t).Mode&0o7777)) //nolint:unconvert // of another type on macOS
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS) {
		return nil
	}
	return err
}

// changed is when a file was last changed, by its own word.
func changed(info fs.FileInfo) time.Time {
	_, changed := times(info.Sys().(*syscall.Stat_t))
	return time.Unix(changed.Unix())
}
