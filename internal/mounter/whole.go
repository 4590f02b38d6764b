package mounter

import (
	"errors"
	"io"
	"os"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// rclone lets a program change a part of a file while the cache lacks other parts, which it
// reads when the file is closed. If that fails, the next one who opens the file drops what
// was written. So the cache has all of a file before a part of it is changed, and where the
// remote does not answer, the write is an error. What is read here, rclone reads in any case.

// handles are some of the open files. It is safe for concurrent use.
type handles struct {
	mu  sync.Mutex
	all map[uint64]bool
}

func (h *handles) has(id uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all[id]
}

func (h *handles) add(id uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[uint64]bool{}
	}
	h.all[id] = true
}

func (h *handles) remove(id uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.all, id)
}

// complete has the cache have all of a file that is written to through a handle.
func (f *files) complete(id, handle uint64) error {
	if f.whole.has(handle) {
		return nil
	}
	if name, known := f.names.path(id); known {
		if err := f.fetch(name); err != nil {
			return err
		}
	}
	f.whole.add(handle)
	return nil
}

// Release implements fuse.RawFileSystem.
func (f *files) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	f.whole.remove(in.Fh)
	f.opened.remove(in.Fh)
	f.RawFileSystem.Release(cancel, in)
}

// fetch reads all of a file, so that the cache has it.
func (s *served) fetch(path string) error {
	node, err := s.vfs.Stat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && (!node.Mode().IsRegular() || node.Size() == 0) {
		return nil
	}
	if err != nil {
		return err
	}
	in, err := s.vfs.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return errors.Join(err, in.Close())
}
