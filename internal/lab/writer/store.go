package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"

	"salvor/internal/lab/oracle"
)

// A store keeps rows. Append returns nil only once the row is durable.
type store interface {
	Append(ctx context.Context, row oracle.Row) error
	Rows(ctx context.Context) ([]oracle.Row, error) // in order of their numbers
}

func openStore(ctx context.Context, s settings) (store, error) {
	switch s.kind {
	case "sqlite":
		return s.table(ctx, func() (*sql.DB, error) { return openSQLite(ctx, filepath.Join(s.data, "rows.db")) })
	case "postgres":
		return s.table(ctx, func() (*sql.DB, error) { return openPostgres(ctx) })
	case "files":
		return files{s.data}, os.MkdirAll(s.data, 0o755)
	}
	return nil, fmt.Errorf("STORE is %q, want sqlite, postgres or files", s.kind)
}

// rowsTable serves both databases: both know numbered placeholders.
type rowsTable struct {
	db   *sql.DB
	hash string // the column's name, by which the two formats differ
}

// table opens a database's rows in the format of the writer's version. The next
// one migrates what it finds in the first format, once.
func (s settings) table(ctx context.Context, open func() (*sql.DB, error)) (store, error) {
	db, err := open()
	if err != nil || !s.next {
		return rowsTable{db, "hash"}, err
	}
	if _, err := db.ExecContext(ctx, "SELECT digest FROM rows LIMIT 1"); err == nil {
		return rowsTable{db, "digest"}, nil
	}
	_, err = db.ExecContext(ctx, "ALTER TABLE rows RENAME COLUMN hash TO digest")
	return rowsTable{db, "digest"}, err
}

const createRows = "CREATE TABLE IF NOT EXISTS rows (n BIGINT PRIMARY KEY, payload TEXT NOT NULL, hash TEXT NOT NULL)"

func openSQLite(ctx context.Context, path string) (*sql.DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, err
	}
	_, err = db.ExecContext(ctx, createRows)
	return db, err
}

// openPostgres connects by libpq's variables (PGHOST, PGUSER, …); the password
// may come from the file that PGPASSWORD_FILE names. It waits a minute for the
// database to answer.
func openPostgres(ctx context.Context) (*sql.DB, error) {
	if file := os.Getenv("PGPASSWORD_FILE"); file != "" {
		password, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if err := os.Setenv("PGPASSWORD", strings.TrimSpace(string(password))); err != nil {
			return nil, err
		}
	}
	db, err := sql.Open("postgres", "sslmode=disable connect_timeout=3")
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for range 120 {
		if _, err = db.ExecContext(ctx, createRows); err == nil {
			return db, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
	return nil, err
}

func (t rowsTable) Append(ctx context.Context, row oracle.Row) error {
	_, err := t.db.ExecContext(ctx, "INSERT INTO rows (n, payload, "+t.hash+") VALUES ($1, $2, $3)", row.N, row.Payload, row.Hash)
	return err
}

func (t rowsTable) Rows(ctx context.Context) ([]oracle.Row, error) {
	found, err := t.db.QueryContext(ctx, "SELECT n, payload, "+t.hash+" FROM rows ORDER BY n")
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var rows []oracle.Row
	for found.Next() {
		var row oracle.Row
		if err := found.Scan(&row.N, &row.Payload, &row.Hash); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, found.Err()
}

// files keeps each row in a file of its own, named by its number: the hash on
// the first line, then the payload.
type files struct{ dir string }

func (f files) Append(_ context.Context, row oracle.Row) (err error) {
	part := filepath.Join(f.dir, "part")
	if err := writeSynced(part, row.Hash+"\n"+row.Payload); err != nil {
		return err
	}
	if err := os.Rename(part, filepath.Join(f.dir, fmt.Sprintf("%08d", row.N))); err != nil {
		return err
	}
	dir, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func writeSynced(path, content string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Sync(), f.Close())
}

func (f files) Rows(context.Context) ([]oracle.Row, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, err
	}
	var rows []oracle.Row
	for _, entry := range entries {
		n, err := strconv.Atoi(entry.Name())
		if err != nil { // a write interrupted, or lost+found
			continue
		}
		content, err := os.ReadFile(filepath.Join(f.dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		hash, payload, _ := strings.Cut(string(content), "\n")
		rows = append(rows, oracle.Row{N: n, Payload: payload, Hash: hash})
	}
	return rows, nil
}
