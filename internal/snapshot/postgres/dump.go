package postgres

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
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/fleet"
	"salvor/internal/snapshot/method"
)

// What a container says of one server is bounded, see also method.Answer.
const (
	maxCounts    = 64 << 20 // bytes of one database's counts
	maxLine      = 64 << 10 // bytes of one count
	maxDatabases = 4096
)

const listDatabases = `SELECT json_agg(datname ORDER BY datname) FROM pg_catalog.pg_database WHERE datname <> 'template0' AND datconnlimit <> -2`

// countTables has psql write, and then run, one count for each table whose rows
// pg_dump dumps: none that an extension makes. TRUNCATE and its like are seen at
// once by every transaction, so a table that was rewritten since is not counted.
const countTables = `SELECT format('SELECT json_build_array(%L, CASE WHEN pg_relation_filenode(%s::oid) IS NOT DISTINCT FROM %s THEN count(*) ELSE -1 END) FROM ONLY %I.%I',
 format('%I.%I', n.nspname, c.relname), c.oid, coalesce(nullif(c.relfilenode, 0)::text, 'NULL'), n.nspname, c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r','p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1 \gexec
SELECT json_build_array('large objects', count(*)) FROM pg_catalog.pg_largeobject_metadata;
`

// Dump dumps the server that a volume belongs to into dir, which it makes. An
// error means that the dump can't bring the server back; ErrElsewhere, that
// the volume is not its data.
func Dump(ctx context.Context, r method.Runner, v method.Volume, dir string) (Manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, method.DumpWithin)
	defer cancel()
	m := Manifest{Schema: fleet.Schema, MountAt: v.MountAt}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return m, err
	}
	s, err := m.look(ctx, r, v)
	if err != nil {
		return m, err
	}
	if err := s.dumpAll(ctx, &m, dir); err != nil {
		return m, err
	}
	content, err := json.Marshal(m)
	if err != nil {
		return m, err
	}
	return m, atomicfile.Write(filepath.Join(dir, manifestFile), bytes.NewReader(content), 0o600)
}

// Probe reports in little time whether a dump of the server can be taken; the
// manifest has no databases.
func Probe(ctx context.Context, r method.Runner, v method.Volume) (Manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, method.AskWithin)
	defer cancel()
	m := Manifest{Schema: fleet.Schema, MountAt: v.MountAt}
	s, err := m.look(ctx, r, v)
	if err != nil {
		return m, err
	}
	return m, s.run(ctx, s.at.Database, nil, nil, "pg_dumpall", "-w", "-l", connection(s.at.Database), "--globals-only")
}

// look finds the server and describes it.
func (m *Manifest) look(ctx context.Context, r method.Runner, v method.Volume) (session, error) {
	ctx, cancel := context.WithTimeout(ctx, method.AskWithin)
	defer cancel()
	s, err := find(ctx, r)
	if err != nil {
		return s, err
	}
	if m.Server, m.Folders, err = s.describe(ctx, v); err != nil {
		return s, err
	}
	s.options = optionsFor(m.Server.Version)
	return s, s.closeOpened(ctx)
}

func (s session) dumpAll(ctx context.Context, m *Manifest, dir string) (err error) {
	done, err := s.openClosed(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	var names []string
	if err := s.query(ctx, s.at.Database, listDatabases, &names); err != nil {
		return fmt.Errorf("list databases: %w", err)
	}
	if len(names) > maxDatabases {
		return fmt.Errorf("%w: %d databases", method.ErrTooMuch, len(names))
	}
	for _, name := range names {
		db, err := s.dump(ctx, name, dir, m.Server.LeftOut)
		if err != nil {
			return fmt.Errorf("database %s: %w", name, err)
		}
		m.Databases = append(m.Databases, db)
	}
	all := []string{"pg_dumpall", "-w", "-l", connection(s.at.Database)}
	if err := s.toFile(ctx, s.at.Database, filepath.Join(dir, globalsFile), method.MaxAnswer, append(all, "--globals-only", "--no-tablespaces")...); err != nil {
		return fmt.Errorf("dump roles: %w", err)
	}
	if err := s.toFile(ctx, s.at.Database, filepath.Join(dir, tablespacesFile), method.MaxAnswer, append(all, "--tablespaces-only")...); err != nil {
		return fmt.Errorf("dump tablespaces: %w", err)
	}
	return nil
}

func (s session) toFile(ctx context.Context, database, path string, limit int64, argv ...string) error {
	f, err := method.CreateDump(path, limit)
	if err != nil {
		return err
	}
	return errors.Join(s.run(ctx, database, nil, f, argv...), f.Close())
}

// dump dumps one database, lists what it holds and counts its rows, all as of
// one exported transaction, which a psql holds open meanwhile.
func (s session) dump(ctx context.Context, name, dir string, noTablespaces bool) (Database, error) {
	db := Database{Name: name, File: url.PathEscape(name) + ".dump"}
	argv := []string{"pg_dump", "-w", "-Fc", "-Z0", "--create"}
	if noTablespaces {
		argv = append(argv, "--no-tablespaces")
	}
	var err error
	db.Tables, err = s.inTransaction(ctx, name, func(ctx context.Context, snapshot string) error {
		argv = append(argv, "--snapshot="+snapshot)
		if err := s.toFile(ctx, name, filepath.Join(dir, db.File), method.Unlimited, argv...); err != nil {
			return err
		}
		list, err := s.list(ctx, name, argv...)
		if err != nil {
			return err
		}
		return atomicfile.Write(filepath.Join(dir, db.File+listSuffix), strings.NewReader(list), 0o600)
	})
	return db, err
}

// inTransaction calls do within an exported transaction and returns the counts of the
// same transaction.
func (s session) inTransaction(ctx context.Context, database string, do func(ctx context.Context, snapshot string) error) ([]Table, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stdin, say := io.Pipe()
	hear, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := s.run(ctx, database, stdin, stdout, psql()...)
		ended <- errors.Join(err, stdout.CloseWithError(io.EOF), stdin.CloseWithError(errors.New("psql has ended")))
	}()
	answers := bufio.NewReaderSize(hear, maxLine)
	err := func() error {
		if _, err := io.WriteString(say, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;\nSELECT pg_export_snapshot();\n"); err != nil {
			return err
		}
		line, err := answers.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("export a transaction: %w", err)
		}
		if err := do(ctx, strings.TrimSpace(string(line))); err != nil {
			return err
		}
		_, err = io.WriteString(say, countTables+"COMMIT;\n")
		return errors.Join(err, say.Close())
	}()
	if err != nil {
		cancel()
		return nil, errors.Join(err, say.CloseWithError(err), hear.CloseWithError(err), firstCause(<-ended, err))
	}
	tables, err := parseCounts(answers)
	if err != nil {
		cancel()
		return nil, errors.Join(err, hear.CloseWithError(err), firstCause(<-ended, err))
	}
	return tables, <-ended
}

// firstCause leaves out the end of a program that was ended for an earlier error.
func firstCause(end, earlier error) error {
	if earlier != nil && !errors.Is(earlier, io.EOF) {
		return nil
	}
	return end
}

// parseCounts reads lines of the JSON arrays [name, rows], to their end.
func parseCounts(out io.Reader) ([]Table, error) {
	var tables []Table
	lines := bufio.NewScanner(io.LimitReader(out, maxCounts+1))
	lines.Buffer(nil, maxLine)
	var read int64
	for lines.Scan() {
		if read += int64(len(lines.Bytes())) + 1; read > maxCounts || len(tables) >= method.MaxTables {
			return nil, fmt.Errorf("count rows: %w", method.TooMuch(maxCounts))
		}
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var t Table
		if err := json.Unmarshal(lines.Bytes(), &[]any{&t.Name, &t.Rows}); err != nil || t.Name == "" || t.Rows < uncounted {
			return nil, fmt.Errorf("count rows: %.100q is not a count", lines.Bytes())
		}
		tables = append(tables, t)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("count rows: %w: a line of more than %d KiB", method.ErrTooMuch, maxLine>>10)
	}
	return tables, lines.Err()
}

// listScript lists the archive that a pg_dump writes.
const listScript = `(set -o pipefail) 2>/dev/null && set -o pipefail; "$@" | pg_restore -l`

// list returns what a pg_dump with these arguments holds, one line an object,
// sorted, without what differs from server to server.
func (s session) list(ctx context.Context, database string, argv ...string) (string, error) {
	var out method.Answer
	err := s.run(ctx, database, nil, &out, append([]string{shell, "-c", listScript, "salvor"}, append(argv, "--schema-only")...)...)
	if err != nil {
		return "", fmt.Errorf("list its objects: %w", err)
	}
	return normalized(out.String()), nil
}
