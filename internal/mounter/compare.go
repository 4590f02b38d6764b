package mounter

import (
	"context"
	"errors"
	"path"
	"strings"
	"sync"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/lib/encoder"

	"salvor/internal/mount"
)

// folders are those of a volume that files were uploaded to since they were last compared.
type folders struct {
	mu  sync.Mutex
	all map[string]bool
}

func (f *folders) add(dir string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = map[string]bool{}
	}
	f.all[dir] = true
}

func (f *folders) done(dir string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, dir)
}

// renamed notes that a folder, and what is below it, has another name.
func (f *folders) renamed(from, to string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for dir := range f.all {
		if rest, below := strings.CutPrefix(dir+"/", from+"/"); below {
			delete(f.all, dir)
			f.all[path.Join(to, rest)] = true
		}
	}
}

func (f *folders) list() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for dir := range f.all {
		all = append(all, dir)
	}
	return all
}

// compare lists the folders that files of a volume were uploaded to, and compares size, time
// and checksum of each file with those of what was uploaded. A file that is another one, and not a
// newer one, waits for its upload again. One that is not listed was removed by someone: it
// was listed after its upload.
func (m *Mounter) compare(ctx context.Context, s *served) error {
	for _, dir := range s.held.written.list() {
		there, err := s.held.files(ctx, dir)
		if err != nil {
			return err
		}
		files, err := mount.Uploaded(m.opt.Cache, s.Name, encoder.OS.FromStandardPath(dir))
		if err != nil {
			return err
		}
		for _, f := range files {
			if o := there[encoder.OS.ToStandardPath(f.Path)]; o == nil || !damaged(ctx, o, f) {
				continue
			}
			if err := m.uploadAgain(s, f); err != nil {
				return err
			}
		}
		s.held.written.done(dir)
	}
	return nil
}

// files lists those of a folder. There are none in one that does not exist.
func (h *held) files(ctx context.Context, dir string) (map[string]fs.Object, error) {
	entries, err := h.listed(ctx, dir)
	if errors.Is(err, fs.ErrorDirNotFound) {
		err = nil
	}
	found := map[string]fs.Object{}
	for _, e := range entries {
		if o, is := e.(fs.Object); is {
			found[o.Remote()] = o
		}
	}
	return found, err
}

// uploadAgain has a file that the cache has whole wait for its upload.
func (m *Mounter) uploadAgain(s *served, f mount.File) error {
	f, err := f.Reclaim(m.opt.Cache)
	if err != nil {
		return err
	}
	if err := s.writeAgain(f, m.opt.Cache); err != nil {
		return err
	}
	return f.Done()
}

func damaged(ctx context.Context, o fs.Object, f mount.File) bool {
	return fs.Fingerprint(ctx, o, false) != f.Based && !o.ModTime(ctx).After(f.Since)
}
