package record

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"salvor/internal/blob"
	"salvor/internal/fleet"
)

// ErrTaken is wrapped by errors that mean: something else is in the folder.
var ErrTaken = errors.New("the folder is not empty")

// copiedAtOnce is how many files are copied at a time.
const copiedAtOnce = 8

// Relocated is what became of the record.
type Relocated struct {
	Files int  // that are at the new place
	Same  bool // it is the folder in which the record was, by another name: nothing is left behind
}

// Relocate carries the record from the places of a chain (see Chain) to another, or
// to one of them, with the fleet's key in trust. Every file is compared after it was
// written. While it works, to is marked as a place where the record is not yet; then
// the others are marked, and what came in the meantime is copied; at last to loses
// its mark. Nothing is removed. Where to is the same folder by another name nothing
// happens. Interrupted anywhere it may be run again, also to another place.
func Relocate(ctx context.Context, chain []Site, to Site, trust Trust) (Relocated, error) {
	c := copier{to: to, done: map[string]int64{}}
	var from []Site
	for _, s := range chain {
		if s.Where == to.Where {
			c.live = true
		} else {
			from = append(from, s)
		}
	}
	if files, err := oneFolder(ctx, chain, to, trust); err != nil || files > 0 {
		return Relocated{Files: files, Same: true}, err
	}
	if !c.live {
		if err := reserve(ctx, chain, to, trust); err != nil {
			return Relocated{}, err
		}
	}
	if err := c.copyAll(ctx, from); err != nil {
		return Relocated{}, err
	}
	for _, s := range from {
		if err := mark(ctx, s, movedTo{To: to.Where}, trust); err != nil {
			return Relocated{}, err
		}
	}
	if err := c.copyAll(ctx, from); err != nil {
		return Relocated{}, err
	}
	if err := c.awaitListed(ctx); err != nil {
		return Relocated{}, err
	}
	if err := to.Delete(ctx, movedFile); err != nil && !errors.Is(err, blob.ErrNotExist) {
		return Relocated{}, err
	}
	return Relocated{Files: len(c.done)}, to.Record(trust).checkNotMoved(ctx)
}

// oneFolder returns how many files the record has where to is the folder that it is in
// already, by another name of its remote; else 0. What is put at one of them must be
// seen at the other for that.
func oneFolder(ctx context.Context, chain []Site, to Site, trust Trust) (files int, err error) {
	at := chain[len(chain)-1]
	m, _, err := to.Record(trust).readMark(ctx)
	if err != nil || m != nil || at.Where == to.Where {
		return 0, err
	}
	there, err := to.List(ctx, "")
	if err != nil || len(there) == 0 {
		return 0, err
	}
	name := "probe-" + uuid.NewString()
	if _, err := at.Put(ctx, name, strings.NewReader(name), int64(len(name))); err != nil {
		return 0, err
	}
	seen, err := readAll(ctx, to, name)
	if errors.Is(err, blob.ErrNotExist) {
		err = nil
	}
	if string(seen) == name {
		files = len(there)
	}
	return files, errors.Join(err, at.Delete(ctx, name))
}

// reserve marks an empty folder as one where the record is not yet. A folder that
// is marked already is an earlier run's, or a place that the record has left.
func reserve(ctx context.Context, chain []Site, to Site, trust Trust) error {
	m, _, err := to.Record(trust).readMark(ctx)
	switch {
	case err != nil:
		return err
	case m != nil && slices.ContainsFunc(chain, func(s Site) bool { return s.Where == m.To }):
		return nil
	}
	files, err := to.List(ctx, "")
	if err != nil {
		return err
	}
	if len(files) > 0 {
		return fmt.Errorf("%s:%s: %w: %s", to.Where.Remote, to.Where.Path, ErrTaken, files[0].Path)
	}
	return mark(ctx, to, movedTo{To: chain[len(chain)-1].Where, NotYet: true}, trust)
}

// mark writes down in a folder where the record is instead, signed by the fleet's key.
func mark(ctx context.Context, s Site, m movedTo, trust Trust) error {
	key, err := trust.key(ctx)
	if err != nil {
		return err
	}
	m.Schema, m.At = fleet.Schema, time.Now().UTC()
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	signed, err := key.Enclose(MovedKind, markPlace(s.Where), content)
	if err != nil {
		return err
	}
	return s.Record(trust).putRaw(ctx, movedFile, append(signed, '\n'))
}

// A copier copies files to a place of the record.
type copier struct {
	to   Site
	live bool // the record is there already: what it has there is newer

	mu   sync.Mutex
	done map[string]int64 // files that were compared, with their sizes
}

func (c *copier) copyAll(ctx context.Context, from []Site) error {
	for _, s := range from {
		files, err := s.List(ctx, "")
		if err != nil {
			return err
		}
		files = slices.DeleteFunc(files, func(f blob.Object) bool { return f.Path == movedFile || c.copied(f.Path) })
		all, ctx := errgroup.WithContext(ctx)
		all.SetLimit(copiedAtOnce)
		for _, f := range files {
			all.Go(func() error { return c.copyOne(ctx, s, f.Path) })
		}
		if err := all.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) copied(path string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, done := c.done[path]
	return done
}

// copyOne copies a file unless it is there. One that is gone by now was pruned.
func (c *copier) copyOne(ctx context.Context, from Site, path string) error {
	content, err := readAll(ctx, from, path)
	if errors.Is(err, blob.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	there, err := readAll(ctx, c.to, path)
	missing := errors.Is(err, blob.ErrNotExist)
	if err != nil && !missing {
		return err
	}
	if missing || !c.live && !bytes.Equal(there, content) {
		if _, err := c.to.Put(ctx, path, bytes.NewReader(content), int64(len(content))); err != nil {
			return err
		}
		if there, err = readAll(ctx, c.to, path); err != nil {
			return err
		}
		if !bytes.Equal(there, content) {
			return fmt.Errorf("%s on %s is not what was written there", path, c.to.Where.Remote)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done[path] = int64(len(there))
	return nil
}

// awaitListed waits until a listing has every file that was copied.
func (c *copier) awaitListed(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, visibleWithin, ErrNotVisible)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		files, err := c.to.List(ctx, "")
		if err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
		listed := map[string]int64{}
		for _, f := range files {
			listed[f.Path] = f.Size
		}
		if c.allListed(listed) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func (c *copier) allListed(listed map[string]int64) bool {
	for path, size := range c.done {
		if have, is := listed[path]; !is || have != size {
			return false
		}
	}
	return true
}

func readAll(ctx context.Context, from blob.Store, path string) ([]byte, error) {
	body, err := from.Get(ctx, path, 0, -1)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(body, maxMirror+1))
	if err == nil && len(content) > maxMirror {
		err = fmt.Errorf("%s: larger than 1 GiB", path)
	}
	return content, errors.Join(err, body.Close())
}
