package mount

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// A Database is one that was recognised by a file of it.
type Database struct {
	Kind string // "Postgres"
	File string // below the folder that was looked through
}

// How much of a folder is looked through: databases have their files near its top, and each folder and each header may be
// a call to a remote.
const (
	lookDepth   = 5
	lookFolders = 500
	lookHeaders = 50
)

// databaseFiles are names that only one kind of server uses.
var databaseFiles = map[string]string{
	"PG_VERSION": "Postgres",
	"ibdata1":    "MariaDB or MySQL", "aria_log_control": "MariaDB",
	"WiredTiger":     "MongoDB",
	"appendonly.aof": "Redis or Valkey", "appendonlydir": "Redis or Valkey",
}

// A file with one of these ends is SQLite's if it begins so (https://sqlite.org/fileformat2.html).
var sqliteEnds = []string{".db", ".db3", ".sqlite", ".sqlite3"}

const sqliteHeader = "SQLite format 3\x00"

// FindDatabase looks through a folder, from its top downwards, for the files of a database. It looks at no more than some
// hundred folders and opens no more than some files, so that it finds what a server put there, and not every
// file that someone stores. What can't be read is skipped; the error is ctx's.
func FindDatabase(ctx context.Context, folder fs.FS) (Database, bool, error) {
	l := search{folder: folder}
	level := []string{"."}
	for range lookDepth {
		var below []string
		for _, dir := range level {
			if err := ctx.Err(); err != nil {
				return Database{}, false, err
			}
			if l.folders++; l.folders > lookFolders {
				return Database{}, false, nil
			}
			found, dirs := l.in(dir)
			if found.Kind != "" {
				return found, true, nil
			}
			below = append(below, dirs...)
		}
		level = below
	}
	return Database{}, false, nil
}

// A search is one through a folder.
type search struct {
	folder           fs.FS
	folders, headers int
}

// in looks at one folder's entries, and returns the folders in it.
func (l *search) in(dir string) (found Database, below []string) {
	entries, err := fs.ReadDir(l.folder, dir)
	if err != nil {
		return found, nil
	}
	for _, e := range entries {
		at, plain := path.Join(dir, e.Name()), e.Type().IsRegular()
		kind, known := databaseFiles[e.Name()]
		switch {
		case known && (plain || e.IsDir()):
			return Database{kind, at}, nil
		case e.IsDir():
			below = append(below, at)
		case plain && l.headers < lookHeaders && slices.Contains(sqliteEnds, strings.ToLower(path.Ext(e.Name()))):
			if l.headers++; l.isSQLite(at) {
				return Database{"SQLite", at}, nil
			}
		}
	}
	return found, below
}

func (l *search) isSQLite(file string) bool {
	f, err := l.folder.Open(file)
	if err != nil {
		return false
	}
	head := make([]byte, len(sqliteHeader))
	_, err = io.ReadFull(f, head)
	return errors.Join(err, f.Close()) == nil && string(head) == sqliteHeader
}
