package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"salvor/internal/atomicfile"
	"salvor/internal/hold"
	"salvor/internal/snapshot/method"
	"salvor/internal/snapshot/repository"
)

// A Database makes a server's files of a dump.
type Database interface {
	// Start runs the image of the volume's database on dir, as s says, reachable by
	// nothing else, and returns when it answers. What it returns with an error, if
	// anything, is stopped too.
	Start(ctx context.Context, v Volume, dir string, s method.Start) (Running, error)
}

// Running is a database started by a Database.
type Running interface {
	Runner
	// Stop ends the server in an orderly way and waits for it. It may be
	// called twice.
	Stop(ctx context.Context) error
}

// Load makes the files of the databases among fetched volumes from their dumps, next
// to the volumes, while the stack may run: Place then only moves folders. It may be
// left out, and called again.
func (e Engine) Load(ctx context.Context, f *Fetched) error {
	state, err := fetcher{e}.loadFetch(f.job.Stack)
	if err != nil {
		return err
	}
	for _, v := range f.job.Volumes {
		if state.Snapshot != f.Info.ID || state.Volumes[v.Name] != fetched {
			continue
		}
		if err := e.advance(ctx, f, v, state); err != nil {
			return fmt.Errorf("restore %s: volume %s: %w", f.job.Stack, v.Name, err)
		}
	}
	return nil
}

// Place puts fetched data into the places of the volumes. The caller has made sure that no container
// uses them. The data there is set aside, see Kept. Interrupted at any point and run again (with Fetch
// before), it ends in the same state; a volume's marker says ready only when its data is whole and in
// place.
func (e Engine) Place(ctx context.Context, f *Fetched) error {
	state, err := fetcher{e}.loadFetch(f.job.Stack)
	if err != nil {
		return err
	}
	if state.Snapshot != f.Info.ID {
		return fmt.Errorf("restore %s: snapshot %s is not fetched", f.job.Stack, repository.ShortID(f.Info.ID))
	}
	// no volume is ready any more before the first one is swapped: a stack never
	// starts on some volumes as they were and others as they will be
	for _, until := range []stage{placing, placed} {
		for _, v := range f.job.Volumes {
			hold.At(ctx, "place")
			for state.Volumes[v.Name] != placed && state.Volumes[v.Name] != until {
				if err := e.advance(ctx, f, v, state); err != nil {
					return fmt.Errorf("restore %s: volume %s: %w", f.job.Stack, v.Name, err)
				}
			}
		}
	}
	return os.RemoveAll(filepath.Dir(fetcher{e}.fetchPath(f.job.Stack)))
}

// advance takes a volume one stage further and writes that down.
//
//	fetched ─▶ loaded ─▶ placing ─▶ placed
func (e Engine) advance(ctx context.Context, f *Fetched, v Volume, state fetchState) error {
	staging, err := fetcher{e}.staging(f.job.Stack, v)
	if err != nil {
		return err
	}
	m, _ := f.Meta.Of(v)
	next := stage("")
	switch state.Volumes[v.Name] {
	case fetched:
		next = loaded
		if n, dump := m.Form.native(); dump {
			err = e.load(ctx, f.job, n, v, staging)
		}
	case loaded:
		next = placing
		err = e.mark(f.job.Stack, v, e.hydrating(f.job.Stack, v, f.marker(v)))
	case placing:
		next = placed
		err = e.swap(ctx, f, v, staging)
	default:
		err = errors.New("it is not fetched")
	}
	if err != nil {
		return err
	}
	state.Volumes[v.Name] = next
	return fetcher{e}.saveFetch(f.job.Stack, state)
}

func (f *Fetched) marker(v Volume) Marker {
	j := f.job
	return Marker{Identity: Identity(j.Fleet, j.Stack, v.Name, cmp.Or(j.Origin, j.Repository.ID)), Epoch: j.Epoch, Snapshot: f.Info.ID, Wish: j.Wish}
}

// swap moves what is at the volume's path aside and the staged data there. A staging
// folder that is gone was moved by a run that was interrupted afterwards.
func (e Engine) swap(ctx context.Context, f *Fetched, v Volume, staging string) error {
	if _, err := os.Lstat(staging); err == nil {
		if err := setAside(v, e.replaced(f.job.Stack, v), time.Now()); err != nil {
			return err
		}
		hold.At(ctx, "place-aside")
		if err := os.MkdirAll(filepath.Dir(v.Path), 0o755); err != nil {
			return err
		}
		if err := os.Rename(staging, v.Path); err != nil {
			return err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	hold.At(ctx, "place-renamed")
	if err := atomicfile.SyncDir(filepath.Dir(v.Path)); err != nil {
		return err
	}
	if err := os.RemoveAll(dumpAt(staging)); err != nil {
		return err
	}
	return e.markReady(f.job.Stack, v, f.marker(v))
}

// replaced returns the marker of what is where a volume is being placed.
func (e Engine) replaced(stack string, v Volume) Marker {
	m := e.Marker(stack, v.Name)
	if m.Replaces != nil {
		return *m.Replaces
	}
	return Marker{}
}

// load has a database make its files of the dump. Interrupted, it continues where it
// can. The database itself makes them durable when it stops.
func (e Engine) load(ctx context.Context, j RestoreJob, n native, v Volume, staging string) (err error) {
	if j.Database == nil {
		return errors.New("it is a database dump, and there is no way to start the database")
	}
	end := e.scope(j.Stack).Step("load "+v.Name, "")
	defer func() { end(err, "") }()
	return n.Load(ctx, method.Load{Dump: dumpAt(staging), Volume: method.Volume{Path: staging}, Starter: isolatedStarter{j.Database, v, staging}})
}
