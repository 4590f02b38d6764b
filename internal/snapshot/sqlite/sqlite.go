// Package sqlite copies SQLite databases that programs have open: with the host's sqlite3,
// as the user that owns the file, in one transaction of the database.
package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"salvor/internal/fault"
	"salvor/internal/machine"
	"salvor/internal/snapshot/nsexec"
)

var (
	// ErrLocked means: a database stays locked by a program that writes to it.
	ErrLocked = errors.New("the database is locked")
	// ErrGone means: the database is not there any more.
	ErrGone = errors.New("the database was deleted")
)

// magic begins every database (https://sqlite.org/fileformat2.html, "The Database Header").
var magic = []byte("SQLite format 3\x00")

// Is reports whether a file is a database, by how it begins.
func Is(f io.ReaderAt) bool {
	head := make([]byte, len(magic))
	_, err := f.ReadAt(head, 0)
	return err == nil && bytes.Equal(head, magic)
}

// suffixes are those of the files that SQLite keeps next to a database.
var suffixes = []string{"-wal", sharedMemory, "-journal"}

const sharedMemory = "-shm"

// Sidecars are the files that SQLite may keep next to a database.
func Sidecars(database string) []string {
	all := make([]string, len(suffixes))
	for i, s := range suffixes {
		all[i] = database + s
	}
	return all
}

// IsSidecar reports whether a file is named like one that SQLite keeps next to a
// database.
func IsSidecar(path string) bool {
	return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(path, s) })
}

// IsSharedMemory reports whether a file is named like the one in which programs that use a
// database agree. It holds no data, and reading the database changes it.
func IsSharedMemory(path string) bool { return strings.HasSuffix(path, sharedMemory) }

// A Database is a file of a volume.
type Database struct {
	Folder string // on the host
	Within string // a folder above Folder, from which on no link is followed
	Name   string // in Folder
	User   string // "uid:gid" of its owner
}

// A Copier copies databases.
type Copier struct {
	Host    machine.Machine // this host
	Helper  []string        // argv that ends in nsexec.Main
	Program string          // sqlite3
	Wait    time.Duration   // for a lock
}

// copyWithin bounds the copy of one database, and its check.
const copyWithin = time.Hour

// Where the program sees the database's folder, and the one for the copy.
const (
	from = nsexec.Root + "/database"
	to   = nsexec.Root + "/copy"
)

// Copy copies a database into a folder that its owner may write to, and checks the copy. Next
// to the database's own locks nothing of it is changed. An error may wrap ErrLocked or
// ErrGone.
func (c Copier) Copy(ctx context.Context, d Database, into, name string) error {
	err := c.copy(ctx, d, into, name)
	if _, gone := os.Lstat(filepath.Join(d.Folder, d.Name)); err != nil && os.IsNotExist(gone) {
		return ErrGone
	}
	if err != nil && (strings.Contains(err.Error(), "database is locked") || strings.Contains(err.Error(), "database table is locked")) {
		return fmt.Errorf("%w: %w", ErrLocked, err)
	}
	return err
}

func (c Copier) copy(ctx context.Context, d Database, into, name string) error {
	if _, err := os.Stat(c.Program); err != nil {
		return fault.WithHint(errors.New("the host has no sqlite3"), "apt-get install sqlite3 on the host; consistent: pause needs none")
	}
	file := filepath.Join(to, name)
	source := nsexec.Bind{Source: d.Folder, Within: d.Within, Target: from, Writable: true} // of its lock
	target := nsexec.Bind{Source: into, Target: to, Writable: true}
	if _, err := c.run(ctx, d.User, []nsexec.Bind{source, target}, filepath.Join(from, d.Name), "VACUUM INTO '"+file+"'"); err != nil {
		return err
	}
	mode, err := c.run(ctx, d.User, []nsexec.Bind{source}, filepath.Join(from, d.Name), "PRAGMA journal_mode")
	if err != nil {
		return err
	}
	check := "PRAGMA integrity_check"
	if mode == "wal" { // a copy starts without it
		check += "; PRAGMA journal_mode=wal"
	}
	said, err := c.run(ctx, d.User, []nsexec.Bind{target}, file, check)
	if said = strings.TrimSpace(strings.TrimSuffix(said, "\nwal")); err == nil && said != "ok" {
		err = fmt.Errorf("integrity_check: %.300s", said)
	}
	return err
}

// run runs statements on a database, which is not a link.
func (c Copier) run(ctx context.Context, user string, binds []nsexec.Bind, database, statements string) (string, error) {
	var out, stderr limited
	uri := url.URL{Scheme: "file", Path: database, RawQuery: "mode=rw"} // it is never made
	cmd, err := nsexec.Command(c.Helper, nsexec.Spec{
		Argv: []string{c.Program, "-init", "/dev/null", "-batch", "-bail", "-nofollow", "-cmd", ".timeout " + strconv.FormatInt(c.Wait.Milliseconds(), 10), "-cmd", "PRAGMA trusted_schema=OFF", uri.String(), statements},
		User: user, Binds: binds,
	})
	if err != nil {
		return "", err
	}
	cmd.Stdout, cmd.Stderr, cmd.Timeout = &out, &stderr, copyWithin
	_, err = c.Host.Run(ctx, cmd)
	if said := strings.Join(strings.Fields(stderr.String()), " "); err != nil && said != "" {
		err = errors.New(said)
	}
	return strings.TrimSpace(out.String()), err
}

// limited keeps the beginning of what a program says.
type limited struct{ bytes.Buffer }

// maxSaid is how much of it.
const maxSaid = 64 << 10

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	l.Buffer.Write(p[:min(len(p), maxSaid-l.Len())])
	return len(p), nil
}
