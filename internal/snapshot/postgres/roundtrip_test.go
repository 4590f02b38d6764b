package postgres_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/snapshot/method"
	"salvor/internal/snapshot/postgres"
	"salvor/internal/snapshot/postgres/postgrestest"
)

// A make is a server as people run it.
type variety struct {
	name    string
	data    string // below the volume
	options postgrestest.Options
	sql     map[string]string // by database, in the order of databases
	order   []string
	refused string // why its dump can't be taken, or not be loaded
}

func makes() []variety {
	password := "POSTGRES_PASSWORD=a b'c\"d"
	return []variety{
		{name: "plain", sql: map[string]string{"postgres": "CREATE TABLE t (id int); INSERT INTO t VALUES (1),(2);"}},
		// F12
		{name: "sub-folder", data: "pgdata", sql: map[string]string{"postgres": "CREATE TABLE t (id int); INSERT INTO t VALUES (1);"}},
		{name: "deep sub-folder", data: "18/docker", sql: map[string]string{"postgres": "CREATE TABLE t (id int);"}},
		{name: "log elsewhere", options: postgrestest.Options{Initdb: []string{"-U", "postgres", "-A", "trust", "-X", "OUTSIDE"}}, sql: map[string]string{"postgres": "CREATE TABLE t (id int); INSERT INTO t VALUES (1);"}},
		// F2
		{name: "another port", options: postgrestest.Options{Settings: []string{"port=5433"}}, sql: map[string]string{"postgres": "CREATE TABLE t (id int);"}},
		// F3
		{name: "password on the socket", options: postgrestest.Options{Initdb: []string{"-U", "postgres", "--auth-local=scram-sha-256", "--pwfile=PWFILE"}, Env: []string{password}},
			sql: map[string]string{"postgres": "CREATE TABLE t (id int);"}},
		{name: "Bitnami's variables", options: postgrestest.Options{Initdb: []string{"-U", "postgres", "--auth-local=md5", "--pwfile=PWFILE"}, Env: []string{"POSTGRESQL_USERNAME=app", "POSTGRESQL_PASSWORD=x", "POSTGRESQL_POSTGRES_PASSWORD_FILE=PWFILE"}},
			sql: map[string]string{"postgres": "CREATE ROLE app LOGIN PASSWORD 'x'; CREATE DATABASE app OWNER app;"}},
		// F1
		{name: "user by file", options: postgrestest.Options{Initdb: []string{"-U", "carol", "-A", "trust"}, Env: []string{"POSTGRES_USER_FILE=USERFILE"}}, sql: map[string]string{"postgres": "CREATE ROLE postgres LOGIN; CREATE TABLE t (id int);"}},
		{name: "no database postgres", sql: map[string]string{"template1": "DROP DATABASE postgres; CREATE DATABASE app;", "app": "CREATE TABLE t (id int); INSERT INTO t VALUES (9);"}, order: []string{"template1", "app"}},
		{name: "odd names", sql: map[string]string{
			"postgres":     "CREATE ROLE \"O'Brien \"\"x\"\"\" LOGIN; CREATE ROLE \"line\nbreak\"; CREATE DATABASE \"a=b c'd\"\"e\\\" OWNER \"O'Brien \"\"x\"\"\";\nCREATE DATABASE \"Capital\";\nCREATE DATABASE \"line\nbreak\";\nCREATE TABLE \"tab\tle\nx\" (id int); INSERT INTO \"tab\tle\nx\" VALUES (1);",
			"a=b c'd\"e\\": "CREATE TABLE t (id int); INSERT INTO t VALUES (3);",
		}, order: []string{"postgres", "a=b c'd\"e\\"}},
		// F16
		{name: "closed and template1", sql: map[string]string{
			"postgres": "CREATE DATABASE closed CONNECTION LIMIT 7;\nCREATE DATABASE archive IS_TEMPLATE true;", "closed": "CREATE TABLE k (id int); INSERT INTO k VALUES (1);",
			"template1": "CREATE TABLE in_template (id int); INSERT INTO in_template VALUES (5);\nALTER DATABASE closed ALLOW_CONNECTIONS false; ALTER DATABASE template1 SET work_mem = '5MB'; COMMENT ON DATABASE template1 IS 'mine';",
		}, order: []string{"postgres", "closed", "template1"}},
		{name: "roles and grants", sql: map[string]string{"postgres": `CREATE ROLE reader NOLOGIN; CREATE ROLE app LOGIN PASSWORD 's' CONNECTION LIMIT 3 VALID UNTIL '2030-01-01'; GRANT reader TO app WITH ADMIN OPTION; COMMENT ON ROLE app IS 'the app';
CREATE DATABASE one OWNER app;
CREATE DATABASE two;
CREATE DATABASE three;
REVOKE CONNECT ON DATABASE two FROM public; GRANT CONNECT ON DATABASE two TO reader;
ALTER ROLE app SET statement_timeout = '1ms'; ALTER ROLE app IN DATABASE one SET search_path = x, public; ALTER DATABASE three SET default_transaction_read_only = on; ALTER ROLE postgres SET statement_timeout = '1ms';`,
			"one": "CREATE SCHEMA x AUTHORIZATION app; CREATE TABLE x.t (id int); ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA x GRANT SELECT ON TABLES TO reader; GRANT SELECT (id) ON x.t TO reader; CREATE TABLE s (state varchar(9) CHECK (state <> 'x'));"},
			order: []string{"postgres", "one"}},
		{name: "large objects", sql: map[string]string{"postgres": "SELECT lo_from_bytea(4711, decode(repeat('00ff', 9000), 'hex')); CREATE ROLE app; GRANT SELECT ON LARGE OBJECT 4711 TO app;"}},
		{name: "extensions", sql: map[string]string{"postgres": "CREATE SCHEMA e; CREATE EXTENSION pgcrypto SCHEMA e; CREATE EXTENSION hstore; CREATE TABLE h (v hstore); INSERT INTO h VALUES ('a=>1'); CREATE FOREIGN DATA WRAPPER w; CREATE PUBLICATION p FOR TABLE h; CREATE SUBSCRIPTION s CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false);"}},
		{name: "settings", options: postgrestest.Options{Settings: []string{"shared_preload_libraries=pg_stat_statements", "pg_stat_statements.max=2000"}},
			sql: map[string]string{"postgres": "CREATE EXTENSION pg_stat_statements; ALTER SYSTEM SET work_mem = '7MB';\nALTER SYSTEM SET archive_command = '/bin/false';\nSELECT pg_reload_conf();"}},
		{name: "locales", options: postgrestest.Options{Initdb: []string{"-U", "postgres", "-A", "trust", "--locale=C", "--encoding=LATIN1", "--data-checksums", "--wal-segsize=1", "--allow-group-access"}},
			sql: map[string]string{"postgres": "CREATE DATABASE u ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8' TEMPLATE template0;\nCREATE DATABASE i LOCALE_PROVIDER icu ICU_LOCALE 'de' ENCODING 'UTF8' TEMPLATE template0;\nCREATE COLLATION de (provider = icu, locale = 'de')"}},
		{name: "partitions and triggers", sql: map[string]string{"postgres": `CREATE TABLE part (id int) PARTITION BY RANGE (id); CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10); INSERT INTO part VALUES (3);
CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'; CREATE MATERIALIZED VIEW m AS SELECT * FROM part; CREATE UNLOGGED TABLE u (id bigserial); INSERT INTO u DEFAULT VALUES; CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION f();`}},
		// F15: what an init script made was renamed
		{name: "renamed", sql: map[string]string{"postgres": "CREATE TABLE new_name (id int); INSERT INTO new_name VALUES (7); CREATE ROLE reader;"}},
		// F17
		{name: "tablespace outside", sql: map[string]string{"postgres": "CREATE TABLESPACE fast LOCATION 'OUTSIDE';\nCREATE TABLE k (id int) TABLESPACE fast; INSERT INTO k VALUES (1);\nCREATE DATABASE d TABLESPACE fast;"}},
		{name: "tablespace inside", data: "pgdata", sql: map[string]string{"postgres": "CREATE TABLESPACE fast LOCATION 'VOLUME/fast';\nCREATE TABLE k (id int) TABLESPACE fast; INSERT INTO k VALUES (1);"}},
		// F13
		{name: "a check that looks elsewhere", refused: `relation "lookup" does not exist`, sql: map[string]string{"postgres": `CREATE TABLE lookup (id int primary key);
CREATE FUNCTION ok(int) RETURNS bool LANGUAGE sql AS 'select exists(select 1 from lookup where id=$1)';
CREATE TABLE a_things (id int CHECK (ok(id))); INSERT INTO lookup VALUES (1); INSERT INTO a_things VALUES (1);`}},
	}
}

// laid is a make's server on a volume of its own.
type laid struct {
	volume method.Volume
	rel    string
	server *postgrestest.Container
}

func lay(t *testing.T, m variety) laid {
	t.Helper()
	dir := short(t)
	l := laid{volume: method.Volume{Path: filepath.Join(dir, "v"), MountAt: filepath.Join(dir, "v")}, rel: m.data}
	secret := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(content), 0o644), os.Chmod(path, 0o644)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	replace := strings.NewReplacer("PWFILE", secret("password", "a b'c\"d\n"), "USERFILE", secret("user", "carol\n"), "OUTSIDE", filepath.Join(dir, "outside"), "VOLUME", l.volume.Path)
	o := m.options
	o.Password = "a b'c\"d"
	o.Data = filepath.Join(l.volume.Path, m.data)
	for _, list := range [][]string{o.Initdb, o.Env} {
		for i := range list {
			list[i] = replace.Replace(list[i])
		}
	}
	ofPostgres := func(path string) {
		if err := errors.Join(os.Mkdir(path, 0o755), exec.CommandContext(t.Context(), "chown", "postgres:", path).Run()); err != nil {
			t.Fatal(err)
		}
	}
	ofPostgres(filepath.Join(dir, "outside"))
	l.server = postgrestest.Run(t, o)
	if strings.Contains(m.name, "tablespace") && m.data != "" {
		ofPostgres(filepath.Join(l.volume.Path, "fast"))
	}
	order := m.order
	if order == nil {
		order = []string{"postgres"}
	}
	for _, db := range order {
		l.server.Script(t, db, replace.Replace(m.sql[db]))
	}
	return l
}

// short is a folder with a short name: socket paths are.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pg-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// everything is what the programs of Postgres say of a server: its roles, and of
// each database its dump, closed ones too.
func everything(t *testing.T, c *postgrestest.Container) string {
	t.Helper()
	var all bytes.Buffer
	c.Program(t, "template1", &all, "pg_dumpall", "-l", "template1", "--globals-only")
	var databases []struct {
		Name string
		Open bool
	}
	list := c.Script(t, "template1", "SELECT json_agg(json_build_object('name', datname, 'open', datallowconn) ORDER BY datname) FROM pg_database WHERE datname <> 'template0'")
	if err := json.Unmarshal([]byte(list), &databases); err != nil {
		t.Fatal(err)
	}
	for _, d := range databases {
		allow := func(flag string) {
			if !d.Open {
				c.Script(t, "template1", "ALTER DATABASE "+d.Name+" ALLOW_CONNECTIONS "+flag)
			}
		}
		allow("true")
		argv := []string{"pg_dump", "--create"}
		if strings.Contains(d.Name, "\n") { // as text, pg_dump refuses such a name
			argv = argv[:1]
		}
		c.Program(t, d.Name, &all, argv...)
		allow("false")
	}
	c.Program(t, "template1", &all, "psql", "-X", "-A", "-t", "-c", "SELECT datname, datallowconn, datistemplate, datconnlimit, encoding, datcollate, datctype, datlocprovider, daticulocale FROM pg_database ORDER BY 1",
		"-c", "SELECT name, setting FROM pg_settings WHERE name IN ('work_mem','archive_command','data_checksums','wal_segment_size','data_directory_mode')")
	var kept []string
	for line := range strings.Lines(all.String()) {
		if line != "\n" && !strings.HasPrefix(line, "--") && !strings.HasPrefix(line, `\restrict`) && !strings.HasPrefix(line, `\unrestrict`) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// inDefaultTablespace is everything of a server after its tablespaces were left out.
func inDefaultTablespace(all string) string {
	var kept []string
	for line := range strings.Lines(all) {
		if !strings.HasPrefix(line, "CREATE TABLESPACE") {
			kept = append(kept, strings.NewReplacer("; Tablespace: fast", "", " TABLESPACE = fast", "", "default_tablespace = fast", "default_tablespace = ''").Replace(line))
		}
	}
	return strings.Join(kept, "")
}

// TestEveryMakeOfServerComesBack is faults F1, F2, F3, F12, F13, F15, F16 and
// F17, and their kin: each server is dumped, loaded, started and compared by
// pg_dumpall.
func TestEveryMakeOfServerComesBack(t *testing.T) {
	made := postgrestest.NewMade(t)
	for i, m := range makes() {
		if testing.Short() && i%4 != 1 { // a second of processor time for each
			continue
		}
		m.options.Made = made
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			l := lay(t, m)
			dump := filepath.Join(short(t), "dump")
			manifest, err := postgres.Dump(t.Context(), l.server, l.volume, dump)
			if err != nil {
				if m.refused == "" || !strings.Contains(err.Error(), m.refused) {
					t.Fatal(err)
				}
				return
			}
			want := ""
			if m.refused == "" {
				want = everything(t, l.server)
			}
			files, err := manifest.Files(l.volume)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				to := filepath.Join(postgres.FilesIn(dump), f)
				if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), exec.CommandContext(t.Context(), "cp", "-a", filepath.Join(l.volume.Path, f), to).Run()); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.server.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(l.volume.Path, l.volume.Path+"-lost"); err != nil {
				t.Fatal(err)
			}
			back := method.Volume{Path: l.volume.Path, MountAt: l.volume.MountAt}
			if err := os.Mkdir(back.Path, 0o700); err != nil {
				t.Fatal(err)
			}
			err = postgres.Load{Dump: dump, Volume: back, Starter: &postgrestest.Starter{T: t, Volume: back}, Strict: true}.Run(t.Context())
			if m.refused != "" {
				if err == nil || !strings.Contains(err.Error(), m.refused) {
					t.Errorf("got %v, want %s", err, m.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			l.server.Start(t, m.options.Settings...)
			if manifest.Server.LeftOut {
				want = inDefaultTablespace(want)
			}
			if diff := cmp.Diff(want, everything(t, l.server)); diff != "" {
				t.Errorf("what came back differs (-before +after):\n%s", diff)
			}
		})
	}
}
