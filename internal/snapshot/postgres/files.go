package postgres

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

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
		entries, err := method.EntriesOf(root, f.Path)
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
