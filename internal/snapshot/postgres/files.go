package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"salvor/internal/snapshot/method"
)

// isServersOwn reports whether an entry of a data folder is the server's, so that the
// server that loads a dump makes it: everything but configuration, keys and what
// people put there.
func isServersOwn(name string) bool {
	for _, prefix := range []string{"postmaster.", "backup_label", "current_logfiles", "core.", "pg_internal.init"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains(ownNames, name)
}

// ownNames are those of every release; the logs of "log" are those of another server.
var ownNames = []string{
	"PG_VERSION", "base", "global", "log", "core", "tablespace_map", "lost+found", "postgresql.auto.conf.tmp",
	"recovery.conf", "recovery.done", "recovery.signal", "standby.signal",
	"pg_clog", "pg_commit_ts", "pg_dynshmem", "pg_log", "pg_logical", "pg_multixact", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots",
	"pg_stat", "pg_stat_tmp", "pg_subtrans", "pg_tblspc", "pg_twophase", "pg_wal", "pg_xact", "pg_xlog",
}

// Files returns what a volume has in addition to the server's own data, as paths in
// the volume: entries of the data folder and of the folders on the way to it.
func (m Manifest) Files(v method.Volume) ([]string, error) {
	root, err := os.OpenRoot(v.Path) // no link of the container's leads out of its volume
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var found []string
	for i, f := range m.Folders {
		entries, err := entriesOf(root, f.Path)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			rel := path.Join(f.Path, e.Name())
			switch {
			case i+1 < len(m.Folders) && (rel == m.Folders[i+1].Path || e.Name() == "lost+found"):
			case i+1 == len(m.Folders) && isServersOwn(e.Name()):
			case m.isTablespace(v, rel):
			case e.IsDir() || e.Type().IsRegular():
				found = append(found, rel)
			}
		}
	}
	return found, nil
}

// isTablespace reports whether a path leads to a tablespace, which the dump holds.
func (m Manifest) isTablespace(v method.Volume, rel string) bool {
	return slices.ContainsFunc(m.Server.Tablespaces, func(t tablespace) bool {
		at, ok := v.Inside(t.Location)
		return ok && (at == rel || strings.HasPrefix(at, rel+"/"))
	})
}

// FilesIn is where a dump has the files of Files.
func FilesIn(dump string) string { return filepath.Join(dump, filesDir) }

func entriesOf(root *os.Root, folder string) ([]fs.DirEntry, error) {
	f, err := root.Open(folder)
	if err != nil {
		return nil, err
	}
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, errors.Join(err, f.Close())
}

// putFiles moves the files of a dump to where they were, in place of what the
// server has made. Neither the dump nor the server leads it elsewhere by a link.
func (m Manifest) putFiles(dump, into string) error {
	to, err := os.OpenRoot(into)
	if err != nil {
		return err
	}
	defer to.Close()
	from, err := os.OpenRoot(FilesIn(dump))
	if errors.Is(err, fs.ErrNotExist) {
		return m.fitFolders(to)
	}
	if err != nil {
		return err
	}
	defer from.Close()
	for _, f := range slices.Backward(m.Folders) {
		entries, err := entriesOf(from, f.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if m.leadsToFile(path.Join(f.Path, e.Name())) {
				continue
			}
			if err := move(from, to, f.Path, e.Name()); err != nil {
				return fmt.Errorf("put %s back: %w", e.Name(), err)
			}
		}
	}
	return m.fitFolders(to)
}

// move moves an entry of a folder to the folder of that path below another root,
// in place of what is there.
func move(from, to *os.Root, folder, name string) error {
	if err := to.RemoveAll(filepath.Join(folder, name)); err != nil {
		return err
	}
	source, err := from.Open(folder)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := to.Open(folder)
	if err != nil {
		return err
	}
	defer target.Close()
	return unix.Renameat(int(source.Fd()), name, int(target.Fd()), name)
}

func (m Manifest) leadsToFile(rel string) bool {
	return slices.ContainsFunc(m.Folders, func(f Folder) bool { return f.Path == rel })
}

// fitFolders makes the folders down to the data as they were in the volume.
func (m Manifest) fitFolders(into *os.Root) error {
	for _, f := range m.Folders {
		if err := into.Mkdir(f.Path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := fitFolder(into, f); err != nil {
			return err
		}
	}
	return nil
}

// fitFolder sets owner and mode of the folder that it has opened: a server that
// runs as its owner can't put anything else there meanwhile.
func fitFolder(into *os.Root, f Folder) error {
	dir, err := into.OpenFile(f.Path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return errors.Join(dir.Chown(f.UID, f.GID), dir.Chmod(fs.FileMode(f.Mode&0o777)|specialBits(f.Mode)), dir.Close())
}

// specialBits are the bits of a mode that Go keeps elsewhere.
func specialBits(mode uint32) fs.FileMode {
	var m fs.FileMode
	for bit, as := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if mode&bit != 0 {
			m |= as
		}
	}
	return m
}
