package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/fleet"
)

const listRoles = `SELECT format('CREATE ROLE %I;', rolname) FROM pg_catalog.pg_roles`

// loadPostgres loads what dumpPostgres has written into an empty server and
// compares the number of rows in every table.
func loadPostgres(ctx context.Context, r Runner, v Volume, dir string) error {
	var m PostgresManifest
	content, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, &m); err != nil {
		return fmt.Errorf("%s: %w", manifestFile, err)
	}
	if m.Schema > fleet.Schema {
		return fmt.Errorf("%s has schema %d, this salvord reads %d: use a newer one", manifestFile, m.Schema, fleet.Schema)
	}
	p, err := newPostgres(ctx, r, v.Service)
	if err != nil {
		return err
	}
	if err := p.loadGlobals(ctx, filepath.Join(dir, globalsFile)); err != nil {
		return fmt.Errorf("load roles: %w", err)
	}
	there, err := p.databases(ctx)
	if err != nil {
		return err
	}
	for _, db := range m.Databases {
		if !filepath.IsLocal(db.File) {
			return fmt.Errorf("%q is no dump", db.File)
		}
		err := p.loadDatabase(ctx, db, filepath.Join(dir, db.File), slices.Contains(there, db.Name))
		if err == nil {
			err = p.compare(ctx, db)
		}
		if err != nil {
			return fmt.Errorf("database %s: %w", db.Name, err)
		}
	}
	return nil
}

// loadGlobals leaves out the creation of roles that a new server has already;
// what is said of them afterwards still counts.
func (p postgres) loadGlobals(ctx context.Context, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := p.exec(ctx, nil, &out, p.psql("postgres", "-c", listRoles)...); err != nil {
		return err
	}
	there := strings.Split(out.String(), "\n")
	var wanted strings.Builder
	for line := range strings.Lines(string(content)) {
		if text := strings.TrimSuffix(line, "\n"); text == "" || !slices.Contains(there, text) {
			wanted.WriteString(line)
		}
	}
	return p.exec(ctx, strings.NewReader(wanted.String()), nil, p.psql("postgres")...)
}

// loadDatabase creates the database anew with its own properties. "postgres" is
// the one that it connects to meanwhile, so that one is emptied instead.
func (p postgres) loadDatabase(ctx context.Context, db PostgresDatabase, path string, exists bool) error {
	restore := []string{"pg_restore", "-U", p.role, "-d", "postgres", "--exit-on-error"}
	if db.Name == "postgres" {
		restore = append(restore, "--clean", "--if-exists")
	} else {
		restore = append(restore, "--create")
	}
	if exists && db.Name != "postgres" {
		if err := p.exec(ctx, nil, nil, "dropdb", "-U", p.role, "--maintenance-db", "postgres", db.Name); err != nil {
			return err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(p.exec(ctx, f, nil, restore...), f.Close())
}

func (p postgres) compare(ctx context.Context, db PostgresDatabase) error {
	var out bytes.Buffer
	if err := p.exec(ctx, strings.NewReader(countTables), &out, p.psql(db.Name)...); err != nil {
		return fmt.Errorf("count rows: %w", err)
	}
	tables, err := parseCounts(out.Bytes())
	if err != nil {
		return err
	}
	if !slices.Equal(tables, db.Tables) {
		return fmt.Errorf("%w: %s", ErrDiffers, firstDifference(tables, db.Tables))
	}
	return nil
}

func firstDifference(is, want []PostgresTable) string {
	for i := range min(len(is), len(want)) {
		if is[i] != want[i] {
			return fmt.Sprintf("table %s has %d rows, want table %s with %d", is[i].Name, is[i].Rows, want[i].Name, want[i].Rows)
		}
	}
	return fmt.Sprintf("%d tables, want %d", len(is), len(want))
}
