package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
)

// cluster is a real Postgres server on this machine, standing in for a
// container: programs run as the user postgres and find its socket.
type cluster struct {
	bin     string
	sockets string
	uid     uint32
	stopped bool
	data    string
}

func postgresBin(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if _, err := user.Lookup(osUser); err != nil || len(found) == 0 || os.Getuid() != 0 {
		if os.Getenv("SALVOR_LAB") == "require" {
			t.Fatal("Postgres and root are required")
		}
		t.Skip("no Postgres server is installed, or not root")
	}
	return filepath.Dir(found[len(found)-1])
}

func newCluster(ctx context.Context, bin, data string) (*cluster, error) {
	u, err := user.Lookup(osUser)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	sockets, err := os.MkdirTemp("/tmp", "snapshot-pg-") // socket paths are short
	c := &cluster{bin: bin, sockets: sockets, uid: uint32(uid), data: data}
	err = errors.Join(err, os.Chown(sockets, uid, uid), os.Chown(data, uid, uid))
	if err == nil {
		err = c.Exec(ctx, Command{Argv: []string{"initdb", "-D", data, "-A", "trust", "-U", "postgres", "-N"}})
	}
	if err == nil {
		err = c.start(ctx)
	}
	return c, err
}

func (c *cluster) start(ctx context.Context) error {
	return c.Exec(ctx, Command{Argv: []string{"pg_ctl", "-D", c.data, "-w", "-l", filepath.Join(c.sockets, "log"),
		"-o", "-k " + c.sockets + " -c listen_addresses='' -c fsync=off", "start"}})
}

func (c *cluster) Exec(ctx context.Context, cmd Command) error {
	path := cmd.Argv[0]
	if _, err := os.Stat(filepath.Join(c.bin, path)); err == nil {
		path = filepath.Join(c.bin, path)
	}
	p := exec.CommandContext(ctx, path, cmd.Argv[1:]...)
	p.Dir = "/"
	p.Env = []string{"PATH=" + c.bin + ":/usr/bin:/bin", "PGHOST=" + c.sockets, "LC_ALL=C.UTF-8"}
	p.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.uid, Gid: c.uid}}
	var stderr bytes.Buffer
	p.Stdin, p.Stdout, p.Stderr = cmd.Stdin, cmd.Stdout, &stderr
	if err := p.Run(); err != nil {
		return errors.New(strings.Join(cmd.Argv, " ") + ": " + err.Error() + ": " + stderr.String())
	}
	return nil
}

func (c *cluster) Stop(ctx context.Context) error {
	if c.stopped {
		return nil
	}
	c.stopped = true
	return errors.Join(c.Exec(ctx, Command{Argv: []string{"pg_ctl", "-D", c.data, "-w", "-m", "fast", "stop"}}), os.RemoveAll(c.sockets))
}

func (c *cluster) sql(t *testing.T, database, script string) string {
	t.Helper()
	var out bytes.Buffer
	err := c.Exec(t.Context(), Command{Argv: postgres{role: "postgres"}.psql(database), Stdin: strings.NewReader(script), Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// beside starts clusters for a restore.
type beside struct {
	bin  string
	last *cluster
}

func (b *beside) Start(ctx context.Context, _ Volume, dir string) (Running, error) {
	// the user postgres must reach the folder, as root in a container does
	for at := filepath.Dir(dir); at != "/"; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return nil, err
		}
		if err := os.Chmod(at, info.Mode()|0o011); err != nil {
			return nil, err
		}
	}
	var err error
	b.last, err = newCluster(ctx, b.bin, dir)
	return b.last, err
}

func newServer(t *testing.T, l *lab) (*cluster, string) {
	t.Helper()
	bin := postgresBin(t)
	if err := os.Chmod(l.data, 0o700); err != nil {
		t.Fatal(err)
	}
	server, err := (&beside{bin: bin}).Start(t.Context(), Volume{}, l.data)
	if server != nil {
		t.Cleanup(func() {
			if err := server.Stop(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return server.(*cluster), bin
}

const schema = `CREATE ROLE app LOGIN PASSWORD 'secret';
CREATE DATABASE "app-db" OWNER app;
\connect "app-db"
CREATE SCHEMA "odd schema"; CREATE TABLE "odd schema"."Table ""x""" (id int primary key, t text);
CREATE TABLE rows (id bigserial primary key, payload bytea); ALTER TABLE rows OWNER TO app;
INSERT INTO rows (payload) SELECT decode(repeat('00ff', 50), 'hex') FROM generate_series(1, 5000);
INSERT INTO "odd schema"."Table ""x""" VALUES (1, E'tab\tand\nline');
CREATE TABLE part (id int) PARTITION BY RANGE (id); CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10); INSERT INTO part VALUES (3);
CREATE VIEW counted AS SELECT count(*) FROM rows;
\connect postgres
CREATE TABLE in_postgres (x int); INSERT INTO in_postgres VALUES (7);
`

const digest = `SELECT count(*), sum(id), md5(string_agg(payload::text, ',' ORDER BY id)) FROM rows;
SELECT * FROM "odd schema"."Table ""x"""; SELECT * FROM part; SELECT * FROM counted;
SELECT tableowner FROM pg_tables WHERE tablename = 'rows'; SELECT last_value FROM rows_id_seq;`

func TestPostgresIsDumpedAndLoaded(t *testing.T) {
	l := newLab(t)
	server, bin := newServer(t, l)
	server.sql(t, "postgres", schema)
	want := server.sql(t, "app-db", digest)
	r := l.take(t, func(j *Job) {
		j.Volumes[0].Method, j.Volumes[0].Service, j.Runner = fleet.Postgres, "db", server
	})
	if r.Snapshot.ID == "" || r.Paused != 0 {
		t.Fatalf("got %+v", r)
	}
	server.sql(t, "app-db", "DELETE FROM rows;")
	if err := server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	job := l.restoreJob()
	job.Volumes[0].Service = "db"
	if f, err := l.Fetch(t.Context(), job); err != nil {
		t.Fatal(err)
	} else if err := l.Place(t.Context(), f); err == nil {
		t.Fatal("a dump was placed without a database")
	}
	db := &beside{bin: bin}
	job.Database = db
	f := l.restore(t, job)
	if m, _ := f.Meta.Volume("data"); m.Form != PostgresDump {
		t.Errorf("form %s", m.Form)
	}
	if !db.last.stopped {
		t.Error("the database beside was not stopped")
	}
	back := &cluster{bin: bin, uid: db.last.uid, data: l.data, sockets: t.TempDir()}
	if err := errors.Join(os.Chmod(back.sockets, 0o777), os.Chmod(filepath.Dir(back.sockets), 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := back.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := back.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if diff := cmp.Diff(want, back.sql(t, "app-db", digest)); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
	if got := back.sql(t, "postgres", "SELECT x FROM in_postgres; SELECT rolcanlogin FROM pg_roles WHERE rolname = 'app'"); got != "7\nt\n" {
		t.Errorf("got %q", got)
	}
}

func TestPostgresRowsAreCompared(t *testing.T) {
	l := newLab(t)
	server, bin := newServer(t, l)
	server.sql(t, "postgres", schema)
	dump := filepath.Join(t.TempDir(), "dump")
	v := Volume{Name: "data", Service: "db"}
	if err := dumpPostgres(t.Context(), server, v, dump); err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(dump, manifestFile)
	content, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	write(t, manifest, strings.Replace(string(content), `"rows":5000`, `"rows":5001`, 1))
	other, err := (&beside{bin: bin}).Start(t.Context(), v, filepath.Join(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := other.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	if err := loadPostgres(t.Context(), other, v, dump); !errors.Is(err, ErrDiffers) {
		t.Errorf("got %v, want ErrDiffers", err)
	}
}

// breaking is a Runner of which one program fails.
type breaking struct {
	Runner
	program string
}

func (b breaking) Exec(ctx context.Context, c Command) error {
	if c.Argv[0] == b.program {
		if c.Stdout != nil {
			_, _ = io.WriteString(c.Stdout, "half a dump")
		}
		return errors.New("exit 1: out of memory")
	}
	return b.Runner.Exec(ctx, c)
}

func TestFailedDumpIsNoSnapshot(t *testing.T) {
	l := newLab(t)
	server, _ := newServer(t, l)
	for _, program := range []string{"psql", "pg_dump", "pg_dumpall"} {
		j := l.job()
		j.Volumes[0].Method, j.Volumes[0].Service, j.Runner = fleet.Postgres, "db", breaking{server, program}
		if r, err := l.Take(t.Context(), j); err == nil || !strings.Contains(err.Error(), "out of memory") {
			t.Errorf("%s: %+v, %v", program, r, err)
		}
	}
	if infos, err := List(t.Context(), l.repo); err != nil || len(infos) > 0 {
		t.Errorf("snapshots %v, %v", infos, err)
	}
}
