// Package postgres dumps a running Postgres server with the programs of its own
// container, and makes a server's files of such a dump.
//
// A dump holds everything of a server: all databases, closed ones and template1
// too, roles, grants, settings, large objects, and the files of its volume that
// are not the server's own, such as its configuration. The server that loads it
// is made for that alone: no entrypoint, init script or password of the image
// takes part.
package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"salvor/internal/snapshot/method"
)

// Manifest is manifest.json of a dump. Next to it are globals.sql (roles),
// tablespaces.sql, for each database its dump in pg_dump's custom format and the list
// of what that dump holds, and in the folder "files" what else the volume holds.
type Manifest struct {
	Schema    int            `json:"schema"`
	Server    Server         `json:"server"`
	MountAt   string         `json:"mount_at"` // where the server had the volume
	Folders   method.Folders `json:"folders"`  // from the volume's root to the data folder
	Databases []Database     `json:"databases"`
}

// Database is one database of a dump.
type Database struct {
	Name   string  `json:"name"`
	File   string  `json:"file"` // its dump; File with listSuffix is the list
	Tables []Table `json:"tables"`
}

// Table is one table, by its quoted, qualified name, or what else is counted.
type Table struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"` // as of the dump; uncounted for a table that was rewritten meanwhile
}

const (
	globalsFile     = "globals.sql"
	tablespacesFile = "tablespaces.sql"
	manifestFile    = "manifest.json"
	filesDir        = "files"
	listSuffix      = ".list"
	uncounted       = -1
)

// quoteName quotes an SQL identifier.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// quoteText quotes an SQL text.
func quoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// connection is a libpq connection string for a database of any name.
func connection(database string) string {
	return "dbname='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(database) + "'"
}

// shell is the container's: like every program it is found where images have it,
// and not by the PATH of the container, which others than the image may set.
const shell = "/bin/sh"

// session speaks to one server through programs in its container.
type session struct {
	runner  method.Runner
	user    string // "uid:gid" of the server in the container
	at      endpoint
	options string // PGOPTIONS
}

// run runs a program of Postgres that connects to a database.
func (s session) run(ctx context.Context, database string, stdin io.Reader, stdout io.Writer, argv ...string) error {
	argv = append([]string{shell, "-c", string(connectScript), "salvor", "with", s.at.Bin, s.at.Host, s.at.Port, s.at.Role, s.at.Password, database, s.options}, argv...)
	return method.Exec(ctx, s.runner, method.Command{User: s.user, Argv: argv, Stdin: stdin, Stdout: stdout})
}

// psql is argv for psql without the user's settings, stopping at errors.
func psql(more ...string) []string {
	return append([]string{"psql", "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1"}, more...)
}

// sql runs statements for their effect, all or none.
func (s session) sql(ctx context.Context, database string, statements ...string) error {
	return s.run(ctx, database, nil, nil, psql("-c", strings.Join(statements, "; "))...)
}

// query runs a query that returns one JSON value; null leaves into as it is.
func (s session) query(ctx context.Context, database, query string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, method.AskWithin)
	defer cancel()
	var out method.Answer
	if err := s.run(ctx, database, nil, &out, psql("-c", query)...); err != nil {
		return err
	}
	if len(bytes.TrimSpace(out.Bytes())) == 0 {
		return nil
	}
	return json.Unmarshal(out.Bytes(), into)
}

// check refuses a manifest that names what is not in its dump or volume: it may come
// out of a snapshot that someone else made.
func (m Manifest) check() error {
	if err := m.Folders.Check(); err != nil {
		return err
	}
	for _, db := range m.Databases {
		if !filepath.IsLocal(db.File) || filepath.Base(db.File) != db.File {
			return fmt.Errorf("%q is not the name of a dump", db.File)
		}
	}
	return nil
}
