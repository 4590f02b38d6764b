// Package mariadb dumps a running MariaDB or MySQL server with the programs of its own
// container, and makes a server's files of such a dump.
//
// A dump holds everything of a server, as of one transaction: all databases with their
// views, triggers, routines and events, all accounts, and the files of its volume that
// are not the server's own. The server that loads it is made for that alone: no
// entrypoint, init script or password of the image takes part.
package mariadb

import (
	"context"
	_ "embed" // the script that runs in the container
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/snapshot/method"
)

// Manifest is manifest.json of a dump. Next to it are all.sql, which the dump program has
// written, objects.txt, what that defines next to rows, and in the folder "files" what
// else the volume holds.
type Manifest struct {
	Schema  int            `json:"schema"`
	Server  Server         `json:"server"`
	MountAt string         `json:"mount_at"` // where the server had the volume
	Folders method.Folders `json:"folders"`  // from the volume's root to the data folder
	Tables  []Table        `json:"tables"`
}

// A Table is a table of a dump.
type Table struct {
	Database string `json:"database"`
	Name     string `json:"name"`
	Rows     int64  `json:"rows"`
}

func (t Table) String() string { return t.Database + "." + t.Name }

// quoted is the table in SQL.
func (t Table) quoted() string { return quote(t.Database) + "." + quote(t.Name) }

// quote quotes an SQL identifier.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// system is the database of accounts and of what else the server keeps about itself.
const system = "mysql"

const (
	manifestFile = "manifest.json"
	dumpFile     = "all.sql"
	objectsFile  = "objects.txt"
	filesDir     = "files"
)

// ReadManifest returns the manifest of a dump.
func ReadManifest(dump string) (Manifest, error) {
	var m Manifest
	if err := method.ReadManifest(dump, manifestFile, &m, &m.Schema); err != nil {
		return m, err
	}
	return m, m.Folders.Check()
}

//go:embed connect.sh
var connectScript []byte

// shell is the container's.
const shell = "/bin/sh"

// What the script says where no server answers, and where none of the passwords that the
// container has is right.
const (
	noServer = "no MariaDB server answers in this container"
	noLogin  = "cannot log in"
)

// silence is a method.ErrSilent in the script's words.
type silence struct{ error }

// Is implements errors.Is.
func (silence) Is(target error) bool { return target == method.ErrSilent }

// explain wraps method.ErrSilent where that is what the script said, and says what to do
// where it can't log in.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), noServer):
		return silence{err}
	case strings.Contains(err.Error(), noLogin):
		return fault.WithHint(err, "give the service root's password: add MARIADB_ROOT_PASSWORD_FILE: /run/secrets/NAME to its environment, and the secret NAME; "+
			"or add consistent: pause to the volume in x-salvor, which always copies the files")
	}
	return err
}

// endpoint is where and how a server in a container is reached.
type endpoint struct {
	Socket   string
	User     string // who may read everything
	Password string // the variable of the container that has it; "" for none
}

// session speaks to one server through programs in its container.
type session struct {
	runner method.Runner
	at     endpoint
	server Server
}

var ownerForm = regexp.MustCompile(`^[0-9]{1,10}:[0-9]{1,10}$`)

// find finds the server that runs in a container, and a user who may read everything.
func find(ctx context.Context, r method.Runner) (session, error) {
	s := session{runner: r}
	var out method.Answer
	if err := method.Exec(ctx, r, method.Command{Argv: []string{shell, "-c", string(connectScript), "salvor", "find"}, Stdout: &out}); err != nil {
		return s, fmt.Errorf("connect to the server: %w", explain(err))
	}
	fields := strings.Split(out.String(), "\x00")
	if len(fields) != 9 || !ownerForm.MatchString(fields[0]) {
		return s, errors.New("connect to the server: its container gave no answer")
	}
	s.server = Server{User: fields[0], Program: fields[1], Client: fields[2], Dump: fields[3], Install: fields[4]}
	s.at = endpoint{fields[5], fields[6], fields[7]}
	return s, nil
}

// run runs a client program that is connected to the server.
func (s session) run(ctx context.Context, program string, stdin io.Reader, stdout io.Writer, options ...string) error {
	argv := append([]string{shell, "-c", string(connectScript), "salvor", "with", s.at.Socket, s.at.User, s.at.Password, program}, options...)
	return method.Exec(ctx, s.runner, method.Command{Argv: argv, Stdin: stdin, Stdout: stdout})
}

// query runs statements and returns the fields of their lines. A field that may have
// any character is asked for in HEX.
func (s session) query(ctx context.Context, statements string) ([][]string, error) {
	var out method.Answer
	if err := s.run(ctx, s.server.Client, method.Ended(strings.NewReader(statements)), &out, "--batch", "--skip-column-names", "--default-character-set=utf8mb4"); err != nil {
		return nil, err
	}
	var lines [][]string
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return lines, nil
}

// kept is a table as the server lists it.
type kept struct {
	Table
	Engine    string
	Versioned bool // it keeps the history of its rows, which is dumped, too
	Atomic    bool // what a transaction sees of it does not change
	Volatile  bool // a restart of the server empties it
}

const listTables = `SELECT HEX(t.TABLE_SCHEMA), HEX(t.TABLE_NAME), t.TABLE_TYPE, IFNULL(t.ENGINE, ''), IFNULL(e.TRANSACTIONS, '')
FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
WHERE t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND t.TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'sys', 'mysql') ORDER BY 1, 2;
`

// tables lists the tables of everything but the system.
func (s session) tables(ctx context.Context) ([]kept, error) {
	lines, err := s.query(ctx, listTables)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	var all []kept
	for _, f := range lines {
		if len(f) != 5 {
			return nil, fmt.Errorf("list tables: %.100q is not a table", strings.Join(f, "\t"))
		}
		database, err := hex.DecodeString(f[0])
		name, err2 := hex.DecodeString(f[1])
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("list tables: %w", err)
		}
		all = append(all, kept{Table{Database: string(database), Name: string(name)}, f[3], f[2] == "SYSTEM VERSIONED", f[4] == "YES", f[3] == "MEMORY"})
	}
	return all, nil
}

// count counts the rows of tables.
func (s session) count(ctx context.Context, tables []kept) ([]int64, error) {
	var statements strings.Builder
	for _, t := range tables {
		statements.WriteString("SELECT COUNT(*) FROM " + t.quoted())
		if t.Versioned {
			statements.WriteString(" FOR SYSTEM_TIME ALL")
		}
		statements.WriteString(";\n")
	}
	lines, err := s.query(ctx, statements.String())
	if err == nil && len(lines) != len(tables) {
		err = fmt.Errorf("%d counts of %d tables", len(lines), len(tables))
	}
	if err != nil {
		return nil, fmt.Errorf("count rows: %w", err)
	}
	counts := make([]int64, len(lines))
	for i, f := range lines {
		if counts[i], err = strconv.ParseInt(f[0], 10, 64); err != nil {
			return nil, fmt.Errorf("count rows: %w", err)
		}
	}
	return counts, nil
}

// checksums are those of the tables that a transaction does not hold still.
func (s session) checksums(ctx context.Context, tables []kept) (map[Table]string, error) {
	loose := slices.DeleteFunc(slices.Clone(tables), func(t kept) bool { return t.Atomic || t.Volatile })
	var statements strings.Builder
	for _, t := range loose {
		statements.WriteString("CHECKSUM TABLE " + t.quoted() + ";\n")
	}
	lines, err := s.query(ctx, statements.String())
	if err == nil && len(lines) != len(loose) {
		err = fmt.Errorf("%d of %d tables", len(lines), len(loose))
	}
	if err != nil {
		return nil, fmt.Errorf("compute checksums: %w", err)
	}
	sums := map[Table]string{}
	for i, f := range lines {
		sums[loose[i].Table] = f[len(f)-1]
	}
	return sums, nil
}
