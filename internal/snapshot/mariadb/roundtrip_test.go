package mariadb_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fault"
	"salvor/internal/snapshot/mariadb"
	"salvor/internal/snapshot/mariadb/mariadbtest"
	"salvor/internal/snapshot/method"
)

// A variety is a server as people run it.
type variety struct {
	name     string
	settings []string
	env      []string // PWFILE is a file with the password
	password string
	sql      string
	refused  string // why its dump can't be taken
}

const rows = "CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v TEXT); INSERT INTO app.t (v) VALUES ('a'), ('b'), ('(c),(''d'')\\n;');\n"

func varieties() []variety {
	const password = "a b'c\"d\\`$"
	locked := "ALTER USER root@localhost IDENTIFIED BY 'a b''c\"d\\\\`$';\n"
	return []variety{
		{name: "empty"},
		{name: "password by variable", env: []string{"MARIADB_ROOT_PASSWORD=" + password}, password: password, sql: rows + locked},
		{name: "password by MySQL's file", env: []string{"MYSQL_ROOT_PASSWORD_FILE=PWFILE"}, password: password, sql: rows + locked},
		{name: "everything", settings: []string{"--event-scheduler=ON", "--lower-case-table-names=1"}, sql: rows + `
CREATE DATABASE ` + "`a=b c'd\"e\\\\`" + ` CHARACTER SET latin1; CREATE TABLE ` + "`a=b c'd\"e\\\\`.`tab\tle ``x``;(`" + ` (id INT, ` + "`VALUES (`" + ` INT); INSERT INTO ` + "`a=b c'd\"e\\\\`.`tab\tle ``x``;(`" + ` VALUES (1, 2);
CREATE DATABASE zoo; USE zoo;
CREATE TABLE kinds (id INT PRIMARY KEY, b LONGBLOB, f FLOAT, d DATETIME, z DATE, g INT AS (id + 1) STORED, e ENUM('x;','y)'), j JSON, s VARCHAR(40) CHARACTER SET utf8mb4);
SET sql_mode = ''; INSERT INTO kinds (id, b, f, d, z, e, j, s) VALUES (1, UNHEX('00ff0a0d5c27'), 1.5, '2026-03-29 02:30:00', '0000-00-00', 'y)', '{"a":"(b;"}', '🐢 \\ '' " ('), (0, NULL, NULL, NULL, NULL, 'x;', NULL, '');
CREATE TABLE child (id INT, FOREIGN KEY (id) REFERENCES kinds (id)) COMMENT 'a\nINSERT INTO'; INSERT INTO child VALUES (1), (1);
CREATE VIEW v AS SELECT id, s FROM kinds; CREATE TABLE log (n INT); CREATE SEQUENCE seq START WITH 7; SELECT NEXT VALUE FOR seq;
CREATE TABLE v2 (id INT) WITH SYSTEM VERSIONING; INSERT INTO v2 VALUES (1); UPDATE v2 SET id = 2; DELETE FROM v2; INSERT INTO v2 VALUES (3);
CREATE TABLE parts (id INT) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE); INSERT INTO parts VALUES (3), (30);
CREATE TABLE isam (id INT) ENGINE=MyISAM; INSERT INTO isam VALUES (1), (2); CREATE TABLE quick (id INT) ENGINE=MEMORY; INSERT INTO quick VALUES (1);
CREATE TRIGGER tr AFTER INSERT ON child FOR EACH ROW INSERT INTO log VALUES (NEW.id);
DELIMITER //
CREATE PROCEDURE p() BEGIN
INSERT INTO ` + "`log`" + ` VALUES (1);
END //
CREATE FUNCTION f(x INT) RETURNS INT DETERMINISTIC RETURN x + 1 //
CREATE EVENT ev ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO BEGIN DELETE FROM log; END //
DELIMITER ;
CREATE ROLE reader; GRANT SELECT ON zoo.* TO reader; CREATE USER 'o''brien'@'%' IDENTIFIED BY 'secret' WITH MAX_USER_CONNECTIONS 3 ACCOUNT LOCK; GRANT reader TO 'o''brien'@'%';
SET DEFAULT ROLE reader FOR 'o''brien'@'%'; GRANT SELECT (id), INSERT ON zoo.kinds TO 'o''brien'@'%'; GRANT EXECUTE ON PROCEDURE zoo.p TO 'o''brien'@'%'; CREATE USER app@'10.%' IDENTIFIED BY PASSWORD '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'; GRANT ALL ON app.* TO app@'10.%' WITH GRANT OPTION;
`},
		{name: "no password is known", sql: locked, refused: "cannot log in"},
	}
}

// laid is a variety's server on a volume of its own.
type laid struct {
	volume method.Volume
	server *mariadbtest.Container
}

func lay(t *testing.T, v variety, made *mariadbtest.Made) laid {
	t.Helper()
	dir := mariadbtest.Dir(t)
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte(v.password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range v.env {
		v.env[i] = strings.ReplaceAll(v.env[i], "PWFILE", file)
	}
	volume := method.Volume{Path: filepath.Join(dir, "v"), MountAt: mariadbtest.MountAt}
	l := laid{volume, mariadbtest.Run(t, mariadbtest.Options{Volume: volume.Path, Settings: v.settings, Env: v.env, Made: made})}
	l.server.Script(t, v.sql)
	l.server.Password = v.password
	return l
}

// everything is what the dump program says of a server, the system's tables included.
func everything(t *testing.T, c *mariadbtest.Container) string {
	t.Helper()
	var out bytes.Buffer
	argv := []string{"env", "MYSQL_PWD=" + c.Password, "mariadb-dump", "--no-defaults", "--socket=/run/mysqld/mysqld.sock", "--user=root", "--all-databases", "--routines", "--events", "--skip-dump-date", "--dump-history", "--skip-extended-insert"}
	for _, table := range []string{"proc", "event", "innodb_index_stats", "innodb_table_stats", "help_topic", "help_relation", "help_keyword", "help_category", "transaction_registry"} {
		argv = append(argv, "--ignore-table=mysql."+table)
	}
	if err := c.Exec(t.Context(), method.Command{Argv: argv, Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// copyFiles does what restic does with a dump's files.
func copyFiles(t *testing.T, m mariadb.Manifest, v method.Volume, dump string) {
	t.Helper()
	files, err := m.Files(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		to := filepath.Join(mariadb.FilesIn(dump), f)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), exec.CommandContext(t.Context(), "cp", "-a", filepath.Join(v.Path, f), to).Run()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEveryVarietyComesBack: each server is dumped, loaded, started and compared by what
// the dump program says of it.
func TestEveryVarietyComesBack(t *testing.T) {
	mariadbtest.Require(t)
	made := mariadbtest.NewMade(t)
	for i, v := range varieties() {
		if testing.Short() && i < 2 { // the others have what these have
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			l := lay(t, v, made)
			dump := l.volume.Path + "-dump"
			m, err := mariadb.Dump(t.Context(), l.server, l.volume, dump)
			if v.refused != "" {
				if err == nil || !strings.Contains(err.Error(), v.refused) || !strings.Contains(fault.Hint(err), "MARIADB_ROOT_PASSWORD_FILE") {
					t.Errorf("got %v, hint %q, want %s", err, fault.Hint(err), v.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(everything(t, l.server), "INSERT INTO `quick` VALUES (1);\n", "") // a table in memory
			if err := errors.Join(os.WriteFile(filepath.Join(l.volume.Path, ".my-healthcheck.cnf"), []byte("mine"), 0o600), l.server.Stop(t.Context())); err != nil {
				t.Fatal(err)
			}
			copyFiles(t, m, l.volume, dump)
			if err := os.Rename(l.volume.Path, l.volume.Path+"-lost"); err != nil {
				t.Fatal(err)
			}
			load := mariadb.Load{Dump: dump, Volume: method.Volume{Path: l.volume.Path}, Starter: &mariadbtest.Starter{Volume: l.volume.Path}, Strict: true}
			if err := load.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.server.Start(t)
			if diff := cmp.Diff(want, everything(t, l.server)); diff != "" {
				t.Errorf("what came back differs (-before +after):\n%s", diff)
			}
			if content, err := os.ReadFile(filepath.Join(l.volume.Path, ".my-healthcheck.cnf")); err != nil || string(content) != "mine" {
				t.Errorf("the volume's other file is %q, %v", content, err)
			}
		})
	}
}

// meanwhile does something when the dump program is called for everything, the first n
// times.
type meanwhile struct {
	method.Runner
	do func()
	n  int
}

func (m *meanwhile) Exec(ctx context.Context, c method.Command) error {
	for _, a := range c.Argv {
		if a == "--all-databases" && m.n > 0 {
			m.n--
			c.Stdout = &onFirst{c.Stdout, m.do}
		}
	}
	return m.Runner.Exec(ctx, c)
}

// onFirst calls do before the first write.
type onFirst struct {
	to interface{ Write([]byte) (int, error) }
	do func()
}

func (o *onFirst) Write(p []byte) (int, error) {
	if o.do != nil {
		o.do()
		o.do = nil
	}
	return o.to.Write(p)
}

// TestWhatHappensMeanwhile: rows of a transaction are never torn, a database that goes
// has the dump begin again, and a table without transactions that is written is reported.
func TestWhatHappensMeanwhile(t *testing.T) {
	mariadbtest.Require(t)
	// more than a pipe holds comes before the tables that are changed
	l := lay(t, variety{sql: rows + "CREATE DATABASE aa; CREATE TABLE aa.big (b LONGTEXT); INSERT INTO aa.big VALUES (REPEAT('x', 8000000)), (REPEAT('y', 8000000));\n" +
		"CREATE DATABASE doomed; CREATE TABLE doomed.t (i INT); CREATE DATABASE zz; CREATE TABLE zz.t2 (i INT); CREATE TABLE zz.isam (i INT) ENGINE=MyISAM;\n"}, nil)
	take := func(n int, sql string) (mariadb.Manifest, error) {
		return mariadb.Dump(t.Context(), &meanwhile{l.server, func() { l.server.Script(t, sql) }, n}, l.volume, filepath.Join(mariadbtest.Dir(t), "dump"))
	}
	m, err := take(1, "START TRANSACTION; INSERT INTO app.t (v) VALUES ('x'); INSERT INTO zz.t2 VALUES (1); COMMIT;")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, table := range m.Tables {
		got[table.String()] = table.Rows
	}
	if got["app.t"] != 3 || got["zz.t2"] != 0 || got["aa.big"] != 2 {
		t.Errorf("rows %v", got)
	}
	if _, err := take(1, "DROP DATABASE doomed;"); err != nil {
		t.Errorf("a database was dropped: %v", err)
	}
	if _, err := take(9, "DROP TABLE zz.t2; CREATE TABLE zz.t2 (i INT);"); err == nil {
		t.Error("a table that is always made again was dumped")
	}
	if _, err := take(1, "INSERT INTO zz.isam VALUES (1);"); err == nil || !strings.Contains(err.Error(), "ALTER TABLE `zz`.`isam` ENGINE=InnoDB") {
		t.Errorf("a table without transactions was written: %v", err)
	}
}

// TestAVolumeThatIsNotTheServers: it is copied as any other.
func TestAVolumeThatIsNotTheServers(t *testing.T) {
	mariadbtest.Require(t)
	l := lay(t, variety{}, nil)
	for name, v := range map[string]method.Volume{"elsewhere": {Path: t.TempDir(), MountAt: "/backup"}, "another folder": {Path: t.TempDir(), MountAt: mariadbtest.MountAt}} {
		if _, err := mariadb.Probe(t.Context(), l.server, v); !errors.Is(err, method.ErrElsewhere) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := mariadb.Probe(t.Context(), l.server, l.volume); err != nil {
		t.Error(err)
	}
}
