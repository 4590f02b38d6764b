package snapshot

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"salvor/internal/atomicfile"
	"salvor/internal/fleet"
)

// PostgresManifest is manifest.json beside the dumps of one server: globals.sql
// (roles, tablespaces) and one custom-format dump per database. Rows were
// counted in the very transaction that was dumped, so that a restore is right
// only when it counts the same.
type PostgresManifest struct {
	Schema    int                `json:"schema"`
	Databases []PostgresDatabase `json:"databases"`
}

// PostgresDatabase is one database of a manifest.
type PostgresDatabase struct {
	Name   string          `json:"name"`
	File   string          `json:"file"`
	Tables []PostgresTable `json:"tables"`
}

// PostgresTable is one table, by its quoted, qualified name.
type PostgresTable struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
}

const (
	globalsFile  = "globals.sql"
	manifestFile = "manifest.json"
	// dumpWithin bounds the dump of one server.
	dumpWithin = 2 * time.Hour
	// osUser is whom Postgres images run the server as, and whom their
	// pg_hba.conf trusts on the local socket.
	osUser = "postgres"
)

// countTables has psql write, and then run, one count for each table that
// pg_dump dumps.
const countTables = `SELECT format('SELECT %L, count(*) FROM ONLY %I.%I', format('%I.%I', schemaname, tablename), schemaname, tablename)
FROM pg_catalog.pg_tables WHERE schemaname <> 'information_schema' AND schemaname !~ '^pg_' ORDER BY 1 \gexec
`

const listDatabases = `SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND datname NOT IN ('template0','template1') ORDER BY 1`

// postgres speaks to one server through programs in its container.
type postgres struct {
	runner  Runner
	service string
	role    string // superuser
}

// askTries is how often the first command in a container is tried: on a busy host
// Docker was seen to fail it once, reason unknown. Only this question can be asked
// again without harm.
const askTries = 3

func newPostgres(ctx context.Context, r Runner, service string) (postgres, error) {
	p := postgres{runner: r, service: service, role: "postgres"}
	var out bytes.Buffer
	var err error
	for range askTries {
		out.Reset()
		err = r.Exec(ctx, Command{Service: service, Argv: []string{"sh", "-c", `printf %s "${POSTGRES_USER:-postgres}"`}, Stdout: &out})
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return p, fmt.Errorf("ask %s for its superuser: %w", service, err)
	}
	if name := strings.TrimSpace(out.String()); name != "" {
		p.role = name
	}
	return p, nil
}

func (p postgres) exec(ctx context.Context, stdin io.Reader, stdout io.Writer, argv ...string) error {
	return p.runner.Exec(ctx, Command{Service: p.service, User: osUser, Argv: argv, Stdin: stdin, Stdout: stdout})
}

// psql is argv for psql without the user's settings, stopping at errors, with
// fields separated by tabs.
func (p postgres) psql(database string, more ...string) []string {
	return append([]string{"psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-U", p.role, "-d", database}, more...)
}

func (p postgres) databases(ctx context.Context) ([]string, error) {
	var out bytes.Buffer
	if err := p.exec(ctx, nil, &out, p.psql("postgres", "-c", listDatabases)...); err != nil {
		return nil, fmt.Errorf("list databases: %w", err)
	}
	return strings.FieldsFunc(out.String(), func(r rune) bool { return r == '\n' }), nil
}

// dumpPostgres dumps the server of a volume into dir, which it makes.
func dumpPostgres(ctx context.Context, r Runner, v Volume, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, dumpWithin)
	defer cancel()
	if r == nil || v.Service == "" {
		return errors.New("no service to ask for a dump")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	p, err := newPostgres(ctx, r, v.Service)
	if err != nil {
		return err
	}
	names, err := p.databases(ctx)
	if err != nil {
		return err
	}
	m := PostgresManifest{Schema: fleet.Schema}
	for _, name := range names {
		db, err := p.dump(ctx, name, dir)
		if err != nil {
			return fmt.Errorf("database %s: %w", name, err)
		}
		m.Databases = append(m.Databases, db)
	}
	if err := p.toFile(ctx, filepath.Join(dir, globalsFile), "pg_dumpall", "-U", p.role, "--globals-only"); err != nil {
		return fmt.Errorf("dump roles: %w", err)
	}
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, manifestFile), bytes.NewReader(content), 0o600)
}

func (p postgres) toFile(ctx context.Context, path string, argv ...string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(p.exec(ctx, nil, f, argv...), f.Close())
}

// dump dumps one database and counts its rows, both as of one exported
// transaction, which a psql holds open meanwhile.
func (p postgres) dump(ctx context.Context, name, dir string) (PostgresDatabase, error) {
	db := PostgresDatabase{Name: name, File: url.PathEscape(name) + ".dump"}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stdin, say := io.Pipe()
	hear, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := p.exec(ctx, stdin, stdout, p.psql(name)...)
		ended <- errors.Join(err, stdout.CloseWithError(io.EOF), stdin.CloseWithError(errors.New("psql has ended")))
	}()
	answers := bufio.NewReader(hear)
	err := func() error {
		if _, err := io.WriteString(say, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;\nSELECT pg_export_snapshot();\n"); err != nil {
			return err
		}
		snapshot, err := answers.ReadString('\n')
		if err != nil {
			return fmt.Errorf("export a transaction: %w", err)
		}
		err = p.toFile(ctx, filepath.Join(dir, db.File), "pg_dump", "-U", p.role, "-d", name, "-Fc", "-Z0", "--snapshot="+strings.TrimSpace(snapshot))
		if err != nil {
			return err
		}
		_, err = io.WriteString(say, countTables+"COMMIT;\n")
		return errors.Join(err, say.Close())
	}()
	if err != nil {
		cancel()
		return db, errors.Join(err, say.CloseWithError(err), hear.CloseWithError(err), <-ended)
	}
	counts, err := io.ReadAll(answers)
	if err = errors.Join(err, <-ended); err != nil {
		return db, err
	}
	db.Tables, err = parseCounts(counts)
	return db, err
}

// parseCounts reads psql's lines "<name> TAB <rows>".
func parseCounts(out []byte) ([]PostgresTable, error) {
	var tables []PostgresTable
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		at := strings.LastIndexByte(line, '\t')
		if at < 0 {
			return nil, fmt.Errorf("count rows: %q is no count", line)
		}
		rows, err := strconv.ParseInt(line[at+1:], 10, 64)
		if err != nil || rows < 0 {
			return nil, fmt.Errorf("count rows: %q is no count", line)
		}
		tables = append(tables, PostgresTable{line[:at], rows})
	}
	return tables, nil
}
