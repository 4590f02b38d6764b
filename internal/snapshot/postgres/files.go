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
)

// own reports whether an entry of a data folder is the server's, so that the
// server that loads a dump makes it: everything but configuration, keys and what
// people put there.
func own(name string) bool {
	for _, prefix := range []string{"postmaster.", "backup_label", "current_logfiles", "core.", "pg_internal.init"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains(ownNames, name)
}

// ownNames are those of every release; the logs of "log" tell of another server.
var ownNames = []string{
	"PG_VERSION", "base", "global", "log", "core", "tablespace_map", "lost+found", "postgresql.auto.conf.tmp",
	"recovery.conf", "recovery.done", "recovery.signal", "standby.signal",
	"pg_clog", "pg_commit_ts", "pg_dynshmem", "pg_log", "pg_logical", "pg_multixact", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots",
	"pg_stat", "pg_stat_tmp", "pg_subtrans", "pg_tblspc", "pg_twophase", "pg_wal", "pg_xact", "pg_xlog",
}

// Files returns what a volume holds beside the server's own data, as paths in
// the volume: entries of the data folder and of the folders on the way to it.
func (m Manifest) Files(v Volume) ([]string, error) {
	var found []string
	for i, f := range m.Folders {
		entries, err := os.ReadDir(filepath.Join(v.Path, f.Path))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			rel := path.Join(f.Path, e.Name())
			switch {
			case i+1 < len(m.Folders) && (rel == m.Folders[i+1].Path || e.Name() == "lost+found"):
			case i+1 == len(m.Folders) && own(e.Name()):
			case m.isTablespace(v, rel):
			case e.IsDir() || e.Type().IsRegular():
				found = append(found, rel)
			}
		}
	}
	return found, nil
}

// isTablespace reports whether a path leads to a tablespace, which the dump holds.
func (m Manifest) isTablespace(v Volume, rel string) bool {
	return slices.ContainsFunc(m.Server.Tablespaces, func(t tablespace) bool {
		at, ok := v.inside(t.Location)
		return ok && (at == rel || strings.HasPrefix(at, rel+"/"))
	})
}

// FilesIn is where a dump has the files of Files.
func FilesIn(dump string) string { return filepath.Join(dump, filesDir) }

// putFiles moves the files of a dump to where they were, in place of what the
// server has made.
func (m Manifest) putFiles(dump, into string) error {
	for _, f := range slices.Backward(m.Folders) {
		from := filepath.Join(FilesIn(dump), f.Path)
		entries, err := os.ReadDir(from)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			to := filepath.Join(into, f.Path, e.Name())
			if m.onTheWay(path.Join(f.Path, e.Name())) {
				continue
			}
			if err := errors.Join(os.RemoveAll(to), os.Rename(filepath.Join(from, e.Name()), to)); err != nil {
				return fmt.Errorf("put %s back: %w", e.Name(), err)
			}
		}
	}
	return m.fitFolders(into)
}

func (m Manifest) onTheWay(rel string) bool {
	return slices.ContainsFunc(m.Folders, func(f Folder) bool { return f.Path == rel })
}

// fitFolders makes the folders down to the data as they were in the volume.
func (m Manifest) fitFolders(into string) error {
	for _, f := range m.Folders {
		if !filepath.IsLocal(f.Path) {
			return fmt.Errorf("%q is not a folder of a volume", f.Path)
		}
		at := filepath.Join(into, f.Path)
		if err := os.Mkdir(at, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := errors.Join(os.Chown(at, f.UID, f.GID), os.Chmod(at, fs.FileMode(f.Mode&0o777)|special(f.Mode))); err != nil {
			return err
		}
	}
	return nil
}

// special are the bits of a mode that Go keeps elsewhere.
func special(mode uint32) fs.FileMode {
	var m fs.FileMode
	for bit, as := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if mode&bit != 0 {
			m |= as
		}
	}
	return m
}
