package snapshot

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/snapshot/method"
	"salvor/internal/snapshot/postgres/postgrestest"
)

// host is a lab whose volume has a Postgres server.
type host struct {
	*lab
	server   *postgrestest.Container
	isolated *isolatedHost
}

// isolatedHost starts servers for loads.
type isolatedHost struct {
	t       *testing.T
	started []method.Start
	refuse  error
}

func (b *isolatedHost) Start(ctx context.Context, _ Volume, dir string, s method.Start) (Running, error) {
	b.started = append(b.started, s)
	if b.refuse != nil {
		return nil, b.refuse
	}
	running, err := (&postgrestest.Starter{T: b.t, Volume: method.Volume{Path: dir}}).Start(ctx, s)
	if running == nil {
		return nil, err
	}
	return oneService{running}, err
}

// oneService runs commands of any service in one container.
type oneService struct{ method.Running }

func (o oneService) Exec(ctx context.Context, c Command) error {
	return o.Running.Exec(ctx, method.Command{User: c.User, Argv: c.Argv, Stdin: c.Stdin, Stdout: c.Stdout})
}

func newHost(t *testing.T, o postgrestest.Options) *host {
	t.Helper()
	h := &host{lab: newLab(t), isolated: &isolatedHost{t: t}}
	if o.Data == "" {
		o.Data = h.data
	}
	h.server = postgrestest.Run(t, o)
	return h
}

func (h *host) postgres(j *Job) {
	j.Volumes[0].Method, j.Volumes[0].Service, j.Volumes[0].MountAt = fleet.Postgres, "db", h.data
	j.Runner, j.Database = oneService{h.server}, h.isolated
	j.Images = map[string]string{"db": "postgres@sha256:1"}
	j.PauseLimit = time.Minute // of a machine that does much else
}

// back loses the volume, restores the newest snapshot and starts the server.
func (h *host) back(t *testing.T, data string) *Fetched {
	t.Helper()
	if err := h.server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(h.data); err != nil {
		t.Fatal(err)
	}
	job := h.restoreJob()
	job.Volumes[0].Service = "db"
	if f, err := h.Fetch(t.Context(), job); err != nil {
		t.Fatal(err)
	} else if m, _ := f.Meta.Volume("data"); m.Form == PostgresDump {
		if err := h.Place(t.Context(), f); err == nil {
			t.Fatal("a dump was placed without a database")
		}
	}
	job.Database = h.isolated
	f := h.restore(t, job)
	h.server.Start(t)
	return f
}

const schema = `CREATE ROLE app LOGIN PASSWORD 'secret';
CREATE DATABASE "app-db" OWNER app;
\connect "app-db"
CREATE SCHEMA "odd schema"; CREATE TABLE "odd schema"."Table ""x""" (id int primary key, t text);
CREATE TABLE rows (id bigserial primary key, payload bytea); ALTER TABLE rows OWNER TO app;
INSERT INTO rows (payload) SELECT decode(repeat('00ff', 50), 'hex') FROM generate_series(1, 5000);
INSERT INTO "odd schema"."Table ""x""" VALUES (1, E'tab\tand\nline');
\connect postgres
CREATE TABLE in_postgres (x int); INSERT INTO in_postgres VALUES (7);
`

const digest = `SELECT count(*), sum(id), md5(string_agg(payload::text, ',' ORDER BY id)) FROM rows;
SELECT * FROM "odd schema"."Table ""x""";
SELECT tableowner FROM pg_tables WHERE tablename = 'rows'; SELECT last_value FROM rows_id_seq;`

func only(t *testing.T, r Result, code finding.Code, text string) {
	t.Helper()
	if len(r.Findings) != 1 || r.Findings[0].Code != code || r.Findings[0].Severity != finding.Warning || !strings.Contains(r.Findings[0].Text, text) {
		t.Errorf("findings %+v, want %s with %q", r.Findings, code, text)
	}
}

func TestPostgresIsDumpedAndLoaded(t *testing.T) {
	t.Parallel()
	h := newHost(t, postgrestest.Options{})
	h.server.Script(t, "postgres", schema)
	want := h.server.Script(t, "app-db", digest)
	write(t, filepath.Join(h.data, "server.key"), "a key")
	if err := os.Chmod(filepath.Join(h.data, "server.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(h.data, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("# mine\n")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	r := h.take(t, h.postgres)
	if r.Snapshot.ID == "" || r.Paused != 0 || len(r.Findings) > 0 {
		t.Fatalf("got %+v", r)
	}
	h.server.Script(t, "app-db", "DELETE FROM rows;")
	got := h.back(t, h.data)
	if m, _ := got.Meta.Volume("data"); m.Form != PostgresDump || m.Loaded.IsZero() {
		t.Errorf("form %s, loaded at %s", m.Form, m.Loaded)
	}
	if diff := cmp.Diff(want, h.server.Script(t, "app-db", digest)); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
	if got := h.server.Script(t, "postgres", "SELECT x FROM in_postgres; SELECT rolcanlogin FROM pg_roles WHERE rolname = 'app'"); got != "7\nt\n" {
		t.Errorf("got %q", got)
	}
	key, err := os.Stat(filepath.Join(h.data, "server.key"))
	hba, err2 := os.ReadFile(filepath.Join(h.data, "pg_hba.conf"))
	if err != nil || err2 != nil || key.Mode() != 0o640 || !strings.HasSuffix(string(hba), "# mine\n") {
		t.Errorf("key %v, %v; pg_hba.conf %s, %v", key, err, hba, err2)
	}
}

// TestDataInASubfolderComesBack is fault F12: the folders on the way to the data get
// their owner and mode again, and what is in them comes back.
func TestDataInASubfolderComesBack(t *testing.T) {
	t.Parallel()
	h := newHost(t, postgrestest.Options{})
	if err := h.server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(h.data); err != nil {
		t.Fatal(err)
	}
	h.server = postgrestest.Run(t, postgrestest.Options{Data: filepath.Join(h.data, "17", "docker")})
	h.server.Script(t, "postgres", "CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
	write(t, filepath.Join(h.data, "note"), "beside the data")
	if err := os.Chmod(h.data, 0o1777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if r := h.take(t, h.postgres); len(r.Findings) > 0 {
		t.Fatalf("findings %+v", r.Findings)
	}
	h.back(t, h.data)
	if got := h.server.Script(t, "postgres", "SELECT * FROM t"); got != "1\n" {
		t.Errorf("got %q", got)
	}
	info, err := os.Stat(h.data)
	note, err2 := os.ReadFile(filepath.Join(h.data, "note"))
	if err != nil || err2 != nil || info.Mode().Perm() != 0o777 || info.Mode()&os.ModeSticky == 0 || string(note) != "beside the data" {
		t.Errorf("root %v, %v; note %q, %v", info.Mode(), err, note, err2)
	}
}

const refused = `CREATE TABLE lookup (id int primary key);
CREATE FUNCTION ok(int) RETURNS bool LANGUAGE sql AS 'select exists(select 1 from lookup where id=$1)';
CREATE TABLE a_things (id int CHECK (ok(id))); INSERT INTO lookup VALUES (1); INSERT INTO a_things VALUES (1);`

// TestDumpThatIsRefusedIsCopied is fault F13: what Postgres refuses to load is
// found out when the snapshot is taken, and the files come back instead.
func TestDumpThatIsRefusedIsCopied(t *testing.T) {
	t.Parallel()
	h := newHost(t, postgrestest.Options{})
	h.server.Script(t, "postgres", refused)
	r := h.take(t, h.postgres)
	only(t, r, finding.DumpFailed, `relation "lookup" does not exist`)
	if r.Paused == 0 {
		t.Error("files of a database were copied without a pause")
	}
	again := h.take(t, func(j *Job) { h.postgres(j); j.Force = true })
	only(t, again, finding.DumpFailed, `relation "lookup" does not exist`)
	if len(h.isolated.started) != 1 {
		t.Errorf("%d loads, want one: there is no use in another so soon", len(h.isolated.started))
	}
	f := h.back(t, h.data)
	if m, _ := f.Meta.Volume("data"); m.Form != Files {
		t.Errorf("form %s", m.Form)
	}
	if got := h.server.Script(t, "postgres", "SELECT * FROM a_things"); got != "1\n" {
		t.Errorf("got %q", got)
	}
}

// TestFirstDumpIsLoadedAtOnce is the other half of fault F13: the first dump is
// loaded for a try before the snapshot counts, the next one is not.
func TestFirstDumpIsLoadedAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t, postgrestest.Options{})
	h.take(t, h.postgres)
	h.server.Script(t, "postgres", "CREATE TABLE more (id int)")
	h.take(t, h.postgres)
	if len(h.isolated.started) != 1 || !h.isolated.started[0].Proof {
		t.Errorf("loads %+v, want one", h.isolated.started)
	}
	h.take(t, func(j *Job) { h.postgres(j); j.Force = true; j.Images["db"] = "postgres@sha256:2" })
	if len(h.isolated.started) != 2 {
		t.Errorf("%d loads after a change of the image", len(h.isolated.started))
	}
	if left, err := os.ReadDir(filepath.Join(h.Dirs.State, "proof", "notes")); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

func TestLoadsAreDue(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 9, 0, 0, 0, 0, time.UTC)
	good := func(age time.Duration) loadNote {
		return loadNote{At: now.Add(-age), Good: now.Add(-age), Image: "a", Objects: "x"}
	}
	failed := good(time.Hour)
	failed.Failed = "no"
	for name, c := range map[string]struct {
		note   loadNote
		image  string
		object string
		want   bool
	}{
		"never":               {loadNote{}, "a", "x", true},
		"lately":              {good(time.Hour), "a", "x", false},
		"changed just now":    {good(time.Hour), "a", "y", false},
		"changed":             {good(loadChanged), "a", "y", true},
		"another image":       {good(time.Hour), "b", "x", true},
		"a week ago":          {good(loadEvery), "a", "x", true},
		"failed":              {failed, "a", "x", true},
		"a clock of tomorrow": {good(-24 * time.Hour), "a", "x", true},
	} {
		if got := c.note.due(c.image, c.object, now); got != c.want {
			t.Errorf("%s: due %t", name, got)
		}
	}
	if !failed.failedLately("a", now) || failed.failedLately("b", now) || failed.failedLately("a", now.Add(loadAgain)) {
		t.Error("a load that failed is tried again too soon, or too late")
	}
}

// breaking is a Runner of which one program fails.
type breaking struct {
	Runner
	program string
}

func (b breaking) Exec(ctx context.Context, c Command) error {
	if slices.Contains(c.Argv, b.program) {
		if c.Stdout != nil {
			_, _ = io.WriteString(c.Stdout, "half a dump")
		}
		return errors.New("exit 1: out of memory")
	}
	return b.Runner.Exec(ctx, c)
}

// TestFailedDumpIsCopied: where a dump can't be taken, the files are.
func TestFailedDumpIsCopied(t *testing.T) {
	t.Parallel()
	h := newHost(t, postgrestest.Options{})
	h.server.Script(t, "postgres", "CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
	for _, program := range []string{"psql", "pg_dump", "pg_dumpall"} {
		r := h.take(t, func(j *Job) {
			h.postgres(j)
			j.Force, j.Runner = true, breaking{j.Runner, program}
		})
		only(t, r, finding.DumpFailed, "out of memory")
	}
	h.back(t, h.data)
	if got := h.server.Script(t, "postgres", "SELECT * FROM t"); got != "1\n" {
		t.Errorf("got %q", got)
	}
}
