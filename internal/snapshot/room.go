package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"salvor/internal/snapshot/restic"
)

// ErrNoRoom is wrapped by errors that mean: the disk is too small.
var ErrNoRoom = errors.New("not enough disk space")

// A Room adds up what the restores that run at once have still to write, so that
// two which fit alone and not together do not both begin, and fail both. The zero
// Room is ready. It is safe for concurrent use.
type Room struct {
	mu   sync.Mutex // guards held
	held []share
	free func(path string) (int64, error) // nil for the disk's own
}

// A share is the space that one volume takes while it is restored.
type share struct {
	volume string
	paths  []string // where it is written, on one file system
	need   int64
}

// share of a target: dump and database are there at the same time.
func (t target) share(version restic.Version) share {
	s := share{volume: t.volume.Name, paths: []string{t.path}, need: t.room(version)}
	if t.staging != t.path {
		s.paths = append(s.paths, t.staging)
	}
	return s
}

func sharesOf(targets []target, version restic.Version) (shares []share) {
	for _, t := range targets {
		shares = append(shares, t.share(version))
	}
	return shares
}

// rest is what of the share is not written yet.
func (s share) rest() int64 {
	rest := s.need
	for _, path := range s.paths {
		rest -= written(path)
	}
	return max(rest, 0)
}

// written is the space of everything at path. What vanishes meanwhile takes none.
func written(path string) int64 {
	var blocks int64
	_ = filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil && unix.Lstat(p, &st) == nil {
			blocks += st.Blocks
		}
		return nil
	})
	return blocks * 512
}

// reserve takes shares as long as the disk has room for them and for all that is
// reserved already, until release. A nil Room knows of no others.
func (r *Room) reserve(shares []share) (release func(), err error) {
	if r == nil {
		r = &Room{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := map[uint64]int64{}
	for _, s := range r.held {
		rest[deviceOf(s.paths[0])] += s.rest()
	}
	for _, s := range shares {
		device := deviceOf(s.paths[0])
		rest[device] += s.rest()
		if err := r.has(s.paths[0], rest[device]); err != nil {
			return nil, fmt.Errorf("volume %s: %w", s.volume, err)
		}
	}
	before := len(r.held)
	r.held = append(r.held, shares...)
	mine := r.held[before:]
	return func() { r.release(mine) }, nil
}

func (r *Room) release(shares []share) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var others []share
	for _, s := range r.held {
		mine := false
		for _, m := range shares {
			mine = mine || m.paths[0] == s.paths[0]
		}
		if !mine {
			others = append(others, s)
		}
	}
	r.held = others
}

// has returns ErrNoRoom when fewer bytes are free than are needed.
func (r *Room) has(path string, need int64) error {
	free := FreeAt
	if r.free != nil {
		free = r.free
	}
	bytes, err := free(path)
	if err == nil && need > bytes {
		return fmt.Errorf("%w at %s: %d MiB are needed, %d MiB are free", ErrNoRoom, path, (need>>20)+1, bytes>>20)
	}
	return err
}

// giveUp removes what a failed download has written where the rest of it does not
// fit: it would keep the others from starting. Elsewhere it stays, and is gone on
// with. It returns why the download could not succeed, or nil.
func (r *Room) giveUp(shares []share) error {
	if r == nil {
		r = &Room{}
	}
	for _, s := range shares {
		full := r.has(s.paths[0], s.rest())
		if !errors.Is(full, ErrNoRoom) {
			continue
		}
		for _, each := range shares {
			for _, path := range each.paths {
				full = errors.Join(full, os.RemoveAll(path))
			}
		}
		return full
	}
	return nil
}

func hasRoom(path string, need int64) error { return (&Room{}).has(path, need) }

// FreeAt returns how many bytes are free on the file system that has a path.
func FreeAt(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // of another type on macOS
}
