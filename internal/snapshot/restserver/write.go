package restserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"salvor/internal/blob"
	"salvor/internal/hold"
)

// flushes is how many packs Commit uploads at a time: as many as restic does.
const flushes = 5

// A spooled object waits in a local file.
type spooled struct {
	path string
	size int64
}

func (s *Server) spooled(f file) (spooled, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.held[f]
	return h, ok
}

func (s *Server) post(r *http.Request, f file) error {
	if err := s.allow(AppendOnly); err != nil {
		return err
	}
	if r.ContentLength < 0 {
		return fmt.Errorf("%s: no length", f)
	}
	if size, known, err := s.known(r.Context(), f); err != nil {
		return err
	} else if known {
		return acceptAgain(r, f, size)
	}
	s.mu.Lock()
	spool := f.kind == kindSnapshot || s.pass.Spool && (f.kind == kindData || f.kind == kindIndex)
	s.mu.Unlock()
	if spool {
		return s.writeSpool(r, f)
	}
	return s.put(r.Context(), f, r.Body, r.ContentLength)
}

// known looks for an object that is there already, without asking the remote for what
// is named by its hash: replacing it by the same content is harmless.
func (s *Server) known(ctx context.Context, f file) (size int64, ok bool, err error) {
	if f.kind == kindConfig {
		o, err := s.opts.Store.Stat(ctx, f.path())
		if errors.Is(err, blob.ErrNotExist) {
			return 0, false, nil
		}
		return o.Size, err == nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h, ok := s.held[f]; ok {
		return h.size, true, nil
	}
	size, ok = s.listings[f.kind][f.name]
	return size, ok, nil
}

// acceptAgain takes the same object a second time, which restic sends when an
// answer got lost, and nothing else: objects are never replaced.
func acceptAgain(r *http.Request, f file, size int64) error {
	sum := sha256.New()
	n, err := io.Copy(sum, r.Body)
	if err != nil {
		return err
	}
	if f.kind == kindConfig || n != size || hex.EncodeToString(sum.Sum(nil)) != f.name {
		return fmt.Errorf("%s exists: %w", f, ErrMode)
	}
	return nil
}

func (s *Server) writeSpool(r *http.Request, f file) (err error) {
	if f.kind == kindSnapshot {
		s.mu.Lock()
		read := s.pass.Read
		s.pass.Read = nil
		s.mu.Unlock()
		if read != nil {
			read()
		}
	}
	tmp, err := os.CreateTemp(s.opts.Spool, f.kind+"-*")
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(tmp, io.TeeReader(r.Body, sum))
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = verify(f, sum.Sum(nil), n, r.ContentLength)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[f] = spooled{tmp.Name(), n}
	if f.kind == kindSnapshot {
		s.snapshot = f.name
	}
	return nil
}

// put writes one object through to the store. Content under another name than
// its hash is taken away again.
func (s *Server) put(ctx context.Context, f file, content io.Reader, size int64) error {
	sum := sha256.New()
	proof, err := s.opts.Store.Put(ctx, f.path(), io.TeeReader(content, sum), size)
	if err != nil {
		s.mu.Lock()
		s.broken[f] = true
		s.mu.Unlock()
		return fmt.Errorf("write %s: %w", f, err)
	}
	if err := verify(f, sum.Sum(nil), proof.Size, size); err != nil {
		return errors.Join(err, s.opts.Store.Delete(ctx, f.path()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = append(s.written, Written{f.path(), proof})
	if names := s.listings[f.kind]; names != nil {
		names[f.name] = size
	}
	s.locked = s.locked || f.kind == kindLocks
	return nil
}

func verify(f file, sum []byte, got, want int64) error {
	if got != want {
		return fmt.Errorf("%s: %d bytes instead of %d", f, got, want)
	}
	if f.kind != kindConfig && hex.EncodeToString(sum) != f.name {
		return fmt.Errorf("%s: content does not match its name", f)
	}
	return nil
}

// remove deletes an object. restic does that to its own locks, and to what it
// could not upload before it tries again; everything else needs Full, and that the
// caller still holds what it is about.
func (s *Server) remove(r *http.Request, f file) error {
	needed := Full
	s.mu.Lock()
	if f.kind == kindLocks || s.broken[f] {
		needed = AppendOnly
	}
	s.mu.Unlock()
	if err := s.allow(needed); err != nil {
		return err
	}
	if needed == Full && s.opts.Holds != nil {
		if err := s.opts.Holds(r.Context()); err != nil {
			return fmt.Errorf("%w: %w", ErrHolds, err)
		}
	}
	if h, ok := s.spooled(f); ok {
		s.mu.Lock()
		delete(s.held, f)
		s.mu.Unlock()
		return os.Remove(h.path)
	}
	if needed == Full {
		hold.At(r.Context(), "prune-delete")
	}
	err := s.opts.Store.Delete(r.Context(), f.path())
	if needed == AppendOnly && errors.Is(err, blob.ErrAppendOnly) {
		return nil // of a failed upload; the next try decides
	}
	if err != nil && !errors.Is(err, blob.ErrNotExist) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listings[f.kind], f.name)
	return nil
}

// Commit writes what waits in the spool: packs, then indexes, then the named
// snapshot, whose presence on the remote is what makes it count. Snapshots of
// other passes are dropped. After an error it may be called again; what was
// already written is not written twice.
func (s *Server) Commit(ctx context.Context, snapshot string) error {
	if err := s.allow(AppendOnly); err != nil {
		return err
	}
	last := file{kindSnapshot, snapshot}
	if _, ok := s.spooled(last); !ok {
		return fmt.Errorf("commit snapshot %s: %w", snapshot, blob.ErrNotExist)
	}
	for _, kind := range []string{kindData, kindIndex} {
		if err := s.flushAll(ctx, kind); err != nil {
			return err
		}
	}
	if err := s.flush(ctx, last); err != nil {
		return err
	}
	return s.dropSnapshots()
}

func (s *Server) flushAll(ctx context.Context, kind string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(flushes)
	for _, f := range s.spooledFiles(kind) {
		group.Go(func() error { return s.flush(ctx, f) })
	}
	return group.Wait()
}

func (s *Server) spooledFiles(kind string) []file {
	s.mu.Lock()
	defer s.mu.Unlock()
	var files []file
	for f := range s.held {
		if f.kind == kind {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files
}

func (s *Server) flush(ctx context.Context, f file) error {
	h, ok := s.spooled(f)
	if !ok {
		return nil
	}
	content, err := os.Open(h.path)
	if err != nil {
		return err
	}
	err = s.put(ctx, f, content, h.size)
	if err = errors.Join(err, content.Close()); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.held, f)
	s.mu.Unlock()
	return os.Remove(h.path)
}

func (s *Server) dropSnapshots() error {
	var errs error
	for _, f := range s.spooledFiles(kindSnapshot) {
		h, _ := s.spooled(f)
		s.mu.Lock()
		delete(s.held, f)
		s.mu.Unlock()
		errs = errors.Join(errs, os.Remove(h.path))
	}
	return errs
}
