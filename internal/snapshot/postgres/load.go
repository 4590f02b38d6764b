package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/snapshot/method"
)

// A Load makes a server's files of a dump.
type Load method.Load

// ReadManifest returns the manifest of a dump.
func ReadManifest(dump string) (Manifest, error) {
	var m Manifest
	if err := method.ReadManifest(dump, manifestFile, &m, &m.Schema); err != nil {
		return m, err
	}
	return m, m.check()
}

// Run loads the dump and compares it; the volume then holds what the dumped one held.
// Interrupted, it is called again.
func (l Load) Run(ctx context.Context) error {
	m, err := ReadManifest(l.Dump)
	if err != nil {
		return err
	}
	l.Volume.MountAt = m.MountAt
	return method.Load(l).Make(m.Folders, FilesIn(l.Dump), func() error {
		return method.Load(l).Serve(ctx, m.start(l.Proof), func(r method.Running) error { return l.fill(ctx, r, m) })
	})
}

// fill has a new server hold what the dump does.
func (l Load) fill(ctx context.Context, running method.Runner, m Manifest) (err error) {
	s := session{runner: running, user: m.Server.User, options: optionsFor(m.Server.Version), at: endpoint{
		Data: m.Server.Data, Bin: m.Server.Bin, Host: m.Server.Data, Port: loadPort, Role: m.Server.Superuser, Database: "postgres",
	}}
	if err := l.roles(ctx, s, m); err != nil {
		return err
	}
	if s.at.Database, err = s.emptied(ctx, m); err != nil {
		return fmt.Errorf("empty the new server: %w", err)
	}
	for _, db := range m.Databases {
		if err := l.database(ctx, s, m, db); err != nil {
			return fmt.Errorf("database %s: %w", db.Name, err)
		}
	}
	return l.finish(ctx, s, m)
}

// roles loads roles and tablespaces. Of roles, a new server has its superuser.
func (l Load) roles(ctx context.Context, s session, m Manifest) error {
	content, err := method.ReadFile(l.Dump, globalsFile)
	if err != nil {
		return err
	}
	var there string
	if err := s.query(ctx, s.at.Database, "SELECT to_json(format(E'\nCREATE ROLE %I;\n', current_user::text))", &there); err != nil {
		return err
	}
	script := strings.Replace("\n"+string(content), there, "\n", 1)
	if err := s.run(ctx, s.at.Database, method.Ended(strings.NewReader(script)), nil, psql()...); err != nil {
		return fmt.Errorf("load roles: %w", err)
	}
	if m.Server.LeftOut || len(m.Server.Tablespaces) == 0 {
		return nil
	}
	for _, t := range m.Server.Tablespaces {
		if err := l.makeTablespace(t, m.Folders[len(m.Folders)-1]); err != nil {
			return fmt.Errorf("tablespace %s: %w", t.Name, err)
		}
	}
	if content, err = method.ReadFile(l.Dump, tablespacesFile); err != nil {
		return err
	}
	if err := s.run(ctx, s.at.Database, method.Ended(strings.NewReader(string(content))), nil, psql()...); err != nil {
		return fmt.Errorf("load tablespaces: %w", err)
	}
	return nil
}

// makeTablespace makes a tablespace's folder, which must be there and the
// server's.
func (l Load) makeTablespace(t tablespace, data method.Folder) error {
	rel, ok := l.Volume.Inside(t.Location)
	if !ok {
		return fmt.Errorf("%s is outside of the volume", t.Location)
	}
	root, err := os.OpenRoot(l.Volume.Path) // the server has written there
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.Dir(rel), 0o755); err != nil {
		return err
	}
	return errors.Join(root.Mkdir(rel, 0o700), root.Lchown(rel, data.UID, data.GID))
}

// emptied drops every database of a new server, template1 and postgres too, and
// returns the one to work from, which is not one of the dump's.
func (s session) emptied(ctx context.Context, m Manifest) (string, error) {
	scratch := "salvor"
	for slices.ContainsFunc(m.Databases, func(d Database) bool { return d.Name == scratch }) {
		scratch += "_"
	}
	if err := s.sql(ctx, s.at.Database, "CREATE DATABASE "+quoteName(scratch)+" TEMPLATE template0"); err != nil {
		return "", err
	}
	for _, name := range []string{"template1", "postgres"} {
		if err := s.sql(ctx, scratch, "ALTER DATABASE "+name+" IS_TEMPLATE false"); err != nil {
			return "", err
		}
		if err := s.sql(ctx, scratch, "DROP DATABASE "+name); err != nil {
			return "", err
		}
	}
	return scratch, nil
}

func (l Load) database(ctx context.Context, s session, m Manifest, db Database) error {
	restore := []string{"pg_restore", "-w", "-d", connection(s.at.Database), "--exit-on-error", "--create"}
	if m.Server.LeftOut {
		restore = append(restore, "--no-tablespaces")
	}
	f, err := method.OpenFile(l.Dump, db.File)
	if err != nil {
		return err
	}
	if err := errors.Join(s.run(ctx, s.at.Database, f, nil, restore...), f.Close()); err != nil {
		return err
	}
	if err := s.sameRows(ctx, db); err != nil || !l.Strict {
		return err
	}
	return s.sameObjects(ctx, db, l.Dump, m.Server.LeftOut)
}

// finish compares the roles, closes what was closed and drops what is not of the
// dump.
func (l Load) finish(ctx context.Context, s session, m Manifest) error {
	if l.Strict {
		if err := s.sameRoles(ctx, l.Dump); err != nil {
			return fmt.Errorf("roles: %w", err)
		}
	}
	scratch := s.at.Database
	if len(m.Databases) == 0 {
		return errors.New("the dump does not contain a database")
	}
	if err := s.closeOpened(ctx); err != nil {
		return err
	}
	var names []string
	if err := s.query(ctx, scratch, `SELECT json_agg(datname) FROM pg_catalog.pg_database WHERE datallowconn AND datname <> 'template0' AND datname <> `+quoteText(scratch), &names); err != nil {
		return err
	}
	if len(names) == 0 {
		return errors.New("no database of the dump accepts connections")
	}
	return s.sql(ctx, names[0], "DROP DATABASE "+quoteName(scratch))
}
