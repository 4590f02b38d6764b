package compose

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"salvor/internal/finding"
)

// databaseFiles are the names by which a database's own folder is known.
var databaseFiles = []string{"PG_VERSION", "ibdata1", "mysql.ibd", "aria_log_control", "WiredTiger", "dump.rdb", "appendonly.aof", "appendonlydir"}

var sqliteHeader = []byte("SQLite format 3\x00")

// config reports whether a relative mount is configuration that comes from Git: it
// is there, and not a database that was copied along.
func (c classifier) config(m *mount, repoPath string) bool {
	return c.fromGit(repoPath) && c.databaseAt(m, repoPath) == ""
}

// dataInGit reports data that was committed with the stack: delivered as
// configuration it would overwrite what the service has written since.
func (c classifier) dataInGit(m *mount, repoPath string) {
	found := c.databaseAt(m, repoPath)
	if found == "" {
		return
	}
	ignored := path.Base(repoPath)
	c.load.found(finding.Finding{Code: finding.DataInGit, Severity: finding.Fatal, Subject: c.load.files.mount(m.service, m.entry.Target),
		Text: fmt.Sprintf("%s holds data of %s (%s), which does not belong in Git", repoPath, m.service, found),
		Fix:  fmt.Sprintf("git rm -r --cached --quiet --ignore-unmatch %s && echo /%s >>%s/.gitignore", repoPath, ignored, path.Dir(repoPath))})
}

// databaseAt returns a file by which a writable mount from Git is known to hold a
// database, "" where it does not.
func (c classifier) databaseAt(m *mount, repoPath string) string {
	if m.entry.ReadOnly {
		return ""
	}
	found := ""
	root := filepath.Join(c.load.RepoDir, filepath.FromSlash(repoPath))
	_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // what is not there holds nothing
		}
		if slices.Contains(databaseFiles, d.Name()) || d.Type().IsRegular() && isSQLite(p) {
			found = d.Name()
			return fs.SkipAll
		}
		return nil
	})
	if info, there := c.load.stat(repoPath); found == "" && there && info.IsDir() && c.fromGit(repoPath) && c.databasePath(m.entry.Target) {
		found = m.entry.Target
	}
	return found
}

func (c classifier) databasePath(target string) bool {
	return slices.ContainsFunc(databases, func(d database) bool { return d.hasPath(target) })
}

func isSQLite(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close() // only read from
	head := make([]byte, len(sqliteHeader))
	_, err = io.ReadFull(f, head)
	return err == nil && bytes.Equal(head, sqliteHeader)
}
