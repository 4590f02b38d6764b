package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"salvor/internal/fleet"
	"salvor/internal/snapshot/nsexec"
	"salvor/internal/snapshot/restic"
	"salvor/internal/snapshot/sqlite"
)

// copies are those of a volume's SQLite databases. A snapshot has them in place of the
// databases, and everything else as it is in the volume; it counts only if
// nothing of that has changed meanwhile.
type copies struct {
	of   map[string]string // path of the copy by the database's path in the volume
	rest string            // print of everything else, before the first copy
}

const (
	sqliteProgram = "/usr/bin/sqlite3" // the distribution's
	sqliteWait    = 5 * time.Second    // for a lock
	maxCopies     = 1000               // databases of a volume
)

// A copier has SQLite databases copied.
type copier struct{ *taking }

// applies reports whether a volume's databases are copied: those of a stopped stack are
// consistent as they are.
func (t copier) applies(v Volume) bool {
	return v.Method == fleet.SQLite && !t.job.Stopped && !t.copied[v.Name]
}

// all copies the databases of the volumes that ask for it. Where one can't
// be copied, its volume is copied in a pause instead; so it is where the stack is paused
// for another volume.
func (t copier) all(ctx context.Context, s *session) error {
	t.copies = map[string]copies{}
	pauses := t.pauses()
	for _, v := range t.job.Volumes {
		if !t.applies(v) {
			continue
		}
		if pauses {
			t.copied[v.Name] = true
			continue
		}
		end := t.engine.scope(t.job.Stack).Step("copy databases of "+v.Name, "")
		c, err := t.volume(ctx, v, filepath.Join(s.spool, "databases-"+DirName(v.Name)))
		end(err, fmt.Sprintf("%d databases", len(c.of)))
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, sqlite.ErrLocked):
			t.copied[v.Name] = true
		case err != nil:
			t.copyInstead(v, err)
		default:
			t.copies[v.Name] = c
		}
	}
	return nil
}

// volume copies the databases of one volume.
func (t copier) volume(ctx context.Context, v Volume, dir string) (copies, error) {
	c := copies{of: map[string]string{}}
	found, err := databasesIn(v)
	if err != nil {
		return c, err
	}
	var size int64
	for _, n := range found {
		c.of[n.rel], size = "", size+n.info.Size()
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return c, err
	}
	if err := hasRoom(dir, size); err != nil {
		return c, err
	}
	rest, err := quietScan(v, c.isRest, t.clean)
	if err != nil {
		return c, err
	}
	c.rest = rest.print
	for i, n := range found {
		c.of[n.rel], err = t.one(ctx, v, n, filepath.Join(dir, strconv.Itoa(i)))
		if errors.Is(err, sqlite.ErrGone) {
			delete(c.of, n.rel)
			continue
		}
		if err != nil {
			return c, fmt.Errorf("%s: %w", n.rel, err)
		}
	}
	return c, nil
}

// databasesIn finds the SQLite databases of a volume.
func databasesIn(v Volume) ([]node, error) {
	if info, err := os.Stat(v.Path); err != nil || !info.IsDir() {
		return nil, errors.Join(err, errors.New("the volume is not a folder"))
	}
	var found []node
	err := kept(v.Path, v.Omit, func(n node) error {
		if !n.info.Mode().IsRegular() || sqlite.IsSidecar(n.rel) {
			return nil
		}
		f, err := n.open()
		if err != nil || f == nil {
			return err
		}
		defer f.Close()
		if !sqlite.Is(f) {
			return nil
		}
		if n.info.Sys().(*syscall.Stat_t).Nlink > 1 || strings.Contains(n.rel, "\n") {
			return fmt.Errorf("%q: the database has several names, or one of several lines", n.rel)
		}
		if found = append(found, n); len(found) > maxCopies {
			return fmt.Errorf("the volume has more than %d databases", maxCopies)
		}
		return nil
	})
	return found, err
}

// one copies one database into a new folder, and returns where the copy is. It has
// the owner, the mode and the time of the database.
func (t copier) one(ctx context.Context, v Volume, n node, dir string) (string, error) {
	const name = "database"
	st := n.info.Sys().(*syscall.Stat_t)
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, int(st.Uid), int(st.Gid))); err != nil {
		return "", err
	}
	within := t.engine.within(v)
	if within == "" {
		within = v.Path
	}
	by := sqlite.Copier{Host: t.engine.Host, Helper: t.engine.Helper, Program: sqliteProgram, Wait: sqliteWait}
	d := sqlite.Database{Folder: filepath.Join(v.Path, filepath.Dir(n.rel)), Within: within, Name: filepath.Base(n.rel), User: fmt.Sprintf("%d:%d", st.Uid, st.Gid)}
	if err := by.Copy(ctx, d, dir, name); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	mode := n.info.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	err = errors.Join(f.Chown(int(st.Uid), int(st.Gid)), f.Chmod(mode), f.Close(), root.Chtimes(name, n.info.ModTime(), n.info.ModTime()))
	return filepath.Join(dir, name), err
}

// scan looks at a volume. Our own look at a SQLite database is not a change.
func (t copier) scan(v Volume) (scan, error) {
	s, err := scanSince(v.Path, v.Omit, t.clean)
	if err == nil && t.applies(v) {
		var quiet scan
		quiet, err = quietScan(v, func(rel string) bool { return !sqlite.IsSharedMemory(rel) }, t.clean)
		s.print, s.hot = quiet.print, quiet.hot
	}
	return s, err
}

// isRest reports whether a file of a volume is not of its databases.
func (c copies) isRest(rel string) bool {
	if _, is := c.of[rel]; is {
		return false
	}
	for _, suffix := range sqlite.Sidecars("") {
		if database, ok := strings.CutSuffix(rel, suffix); ok {
			if _, is := c.of[database]; is {
				return false
			}
		}
	}
	return true
}

// quietScan is a scan of the files that counts says, without what a look at a database
// changes: the times of folders.
func quietScan(v Volume, counts func(rel string) bool, from time.Time) (scan, error) {
	s := scan{}
	sum, after := sha256.New(), from.Add(-hotFor)
	err := kept(v.Path, v.Omit, func(n node) error {
		switch {
		case n.info.IsDir():
			st := n.info.Sys().(*syscall.Stat_t)
			fmt.Fprintf(sum, "%q %o %d %d\n", n.rel, st.Mode, st.Uid, st.Gid)
		case counts(n.rel):
			s.visit(n, sum, after)
		}
		return nil
	})
	s.print = hex.EncodeToString(sum.Sum(nil))
	return s, err
}

// overtaken gives up the copies of databases for volumes of which another file has
// changed since: they are copied in a pause.
func (t copier) overtaken() (bool, error) {
	changed := false
	for name, c := range t.copies {
		for _, v := range t.job.Volumes {
			if v.Name != name {
				continue
			}
			rest, err := quietScan(v, c.isRest, t.clean)
			if err != nil {
				return false, err
			}
			gone := false
			for rel := range c.of {
				_, err := os.Lstat(filepath.Join(v.Path, rel))
				gone = gone || os.IsNotExist(err)
			}
			if gone || rest.hot || rest.print != c.rest {
				changed, t.copied[name] = true, true
				delete(t.copies, name)
			}
		}
	}
	return changed, nil
}

// livePass reads everything while the stack runs. What has changed and must be of one
// moment is read again in a pause.
func (t copier) livePass(ctx context.Context, s *session, b *restic.Backup) (restic.Summary, error) {
	sum, err := t.readFiles(ctx, s, *b)
	changed, lookErr := t.overtaken()
	if ctx.Err() != nil || lookErr != nil || !changed {
		return sum, errors.Join(err, lookErr)
	}
	if err := t.layOut(s, b); err != nil {
		return sum, err
	}
	if err != nil { // it may be that a database was gone
		return t.readFiles(ctx, s, *b)
	}
	return sum, nil
}

// binds show the copies of a volume's databases in their places.
func (c copies) binds(at string) []nsexec.Bind {
	var binds []nsexec.Bind
	for rel, path := range c.of {
		binds = append(binds, nsexec.Bind{Source: path, Target: filepath.Join(at, rel)})
	}
	return binds
}

// excluded are lines of the exclude file for what is next to databases that are copied.
func (c copies) excluded(at string) []string {
	var all []string
	for rel := range c.of {
		for _, path := range sqlite.Sidecars(filepath.Join(at, rel)) {
			all = append(all, literal(path))
		}
	}
	return all
}
