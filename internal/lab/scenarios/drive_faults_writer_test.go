package scenarios

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"
)

const (
	blockSize  = 4096
	imageSize  = 64 * blockSize
	imagesEach = 4  // files that a program changes in place
	folderSize = 20 // files in a folder, after which a program makes the next one
)

// A scribe is a program that writes to the volume.
type scribe struct {
	b     *book
	point string
	top   string // its folder
	rand  *rand.Rand

	folder int
	all    []*paper // small files
	papers []*paper // those of them that it still changes
	images []*paper
	made   int
	errors int
}

// write makes small files, as many as it is to make, and changes others between them,
// until ctx ends.
func (w *scribe) write(ctx context.Context, files int, pace time.Duration) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for w.made < files {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w.create()
		switch n := w.rand.IntN(100); {
		case n < 15:
			w.patch()
		case n < 25:
			w.again()
		case n < 40:
			w.rename()
		case n < 43:
			w.renameFolder()
		case n < 50:
			w.remove()
		}
	}
}

func (w *scribe) dir() string { return path.Join(w.top, fmt.Sprintf("folder-%d", w.folder)) }

func (w *scribe) content(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(w.rand.Uint32())
	}
	return b
}

// change has do change a paper and notes how that went.
func (w *scribe) change(p *paper, v version, name string, do func() error) {
	w.b.begin(p, v, name)
	err := do()
	w.b.ended(p, err)
	if err != nil {
		w.errors++
		w.papers = slices.DeleteFunc(w.papers, func(one *paper) bool { return one == p })
		w.images = slices.DeleteFunc(w.images, func(one *paper) bool { return one == p })
	}
}

func (w *scribe) at(name string) string { return filepath.Join(w.point, name) }

func (w *scribe) create() {
	if w.made%folderSize == 0 || os.MkdirAll(w.at(w.dir()), 0o755) != nil {
		w.folder++
		if os.MkdirAll(w.at(w.dir()), 0o755) != nil {
			w.errors++
			return
		}
	}
	w.made++
	p, name := &paper{}, path.Join(w.dir(), fmt.Sprintf("file-%d", w.made))
	w.all, w.papers = append(w.all, p), append(w.papers, p)
	v := small(w.content(1 + w.rand.IntN(16<<10)))
	w.change(p, v, name, func() error { return w.put(name, v, 0) })
}

func (w *scribe) again() {
	if p := w.one(w.papers); p != nil {
		v := small(w.content(1 + w.rand.IntN(16<<10)))
		w.change(p, v, "", func() error { return w.put(p.name(), v, os.O_TRUNC) })
	}
}

func (w *scribe) one(of []*paper) *paper {
	if len(of) == 0 {
		return nil
	}
	return of[w.rand.IntN(len(of))]
}

// put writes a whole file, half of the time with fsync.
func (w *scribe) put(name string, v version, flags int) error {
	f, err := os.OpenFile(w.at(name), os.O_CREATE|os.O_WRONLY|flags, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, v.reader())
	if err == nil && w.rand.IntN(2) == 0 {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// patch overwrites some blocks of an image.
func (w *scribe) patch() {
	if len(w.images) < imagesEach {
		p, name := &paper{}, path.Join(w.top, fmt.Sprintf("image-%d-%d", w.made, w.rand.Uint32()))
		w.images = append(w.images, p)
		v := small(w.content(imageSize))
		w.change(p, v, name, func() error { return w.put(name, v, 0) })
		return
	}
	p := w.one(w.images)
	next := slices.Clone(p.versions[len(p.versions)-1].bytes)
	blocks := map[int]bool{}
	for range 1 + w.rand.IntN(8) {
		at := w.rand.IntN(imageSize / blockSize)
		blocks[at] = true
		copy(next[at*blockSize:], w.content(blockSize))
	}
	w.change(p, small(next), "", func() error {
		f, err := os.OpenFile(w.at(p.name()), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		for at := range blocks {
			if _, wrong := f.WriteAt(next[at*blockSize:][:blockSize], int64(at)*blockSize); wrong != nil {
				err = errors.Join(err, wrong)
			}
		}
		return errors.Join(err, f.Sync(), f.Close())
	})
}

func (w *scribe) rename() {
	p := w.one(w.papers)
	if p == nil {
		return
	}
	from := p.name()
	to := path.Join(path.Dir(from), fmt.Sprintf("moved-%d-%d", w.made, w.rand.Uint32()))
	w.change(p, version{}, to, func() error { return os.Rename(w.at(from), w.at(to)) })
}

// renameFolder renames the folder of a file, with all that is in it.
func (w *scribe) renameFolder() {
	one := w.one(w.papers)
	if one == nil {
		return
	}
	from := path.Dir(one.name())
	to := path.Join(w.top, fmt.Sprintf("moved-folder-%d-%d", w.made, w.rand.Uint32()))
	var in []*paper
	for _, p := range w.all {
		for _, name := range slices.Clone(p.names) {
			if path.Dir(name) == from {
				in = append(in, p)
				w.b.begin(p, version{}, path.Join(to, path.Base(name)))
			}
		}
	}
	err := os.Rename(w.at(from), w.at(to))
	for _, p := range in {
		if p.over {
			w.b.ended(p, errors.New("an earlier one"))
			continue
		}
		w.change(p, version{}, "", func() error { return err })
	}
	if from == w.dir() {
		w.folder++
	}
}

func (w *scribe) remove() {
	p := w.one(w.papers)
	if p == nil {
		return
	}
	w.b.mu.Lock()
	p.deleted = true
	w.b.mu.Unlock()
	w.change(p, version{}, "", func() error { return os.Remove(w.at(p.name())) })
	w.papers = slices.DeleteFunc(w.papers, func(one *paper) bool { return one == p })
}

// writeLarge writes one large file, under another name each time that it fails.
func (w *scribe) writeLarge(ctx context.Context, size int64) {
	v := large(w.rand.Uint64(), size)
	for n := 0; ctx.Err() == nil; n++ {
		p, name := &paper{}, path.Join(w.top, fmt.Sprintf("large-%d", n))
		w.change(p, v, name, func() error {
			if err := os.MkdirAll(w.at(w.top), 0o755); err != nil {
				return err
			}
			return w.put(name, v, 0)
		})
		if !p.over {
			w.made++
			return
		}
		_ = os.Remove(w.at(name)) // makes room for the next one; it is over, whatever becomes of it
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}
