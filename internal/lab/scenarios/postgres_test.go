package scenarios

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/lab"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// A pgMake is a Postgres server as people run it.
type pgMake struct {
	name    string
	service string            // YAML of the service db, in addition to its image
	volumes string            // of the service; the default is the named volume db
	secret  map[string]string // of the stack
	files   map[string]string // next to the Compose file
	user    string            // superuser, postgres by default
	port    string
	sql     [][2]string // database and script, in order
	copied  bool        // its dump is refused: its files are copied
}

const pgTrust = "environment: {POSTGRES_HOST_AUTH_METHOD: trust}"

// pgMakes are 20 servers of different make. Those with a fault's number came back
// from no snapshot, or not whole.
func pgMakes() []pgMake {
	return []pgMake{
		{name: "f-thirteen", service: pgTrust, copied: true, sql: [][2]string{{"postgres", `create table lookup(id int primary key);
create function ok(int) returns bool language sql as 'select exists(select 1 from lookup where id=$1)';
create table a_things(id int check (ok(id))); insert into lookup values (1); insert into a_things values (1);`}}},
		{name: "f-twelve", service: "environment: {POSTGRES_HOST_AUTH_METHOD: trust, POSTGRES_USER: app, POSTGRES_DB: other, PGDATA: /var/lib/postgresql/data/pgdata}", user: "app",
			sql: [][2]string{{"other", "create table t(id int); insert into t values (1);"}}},
		{name: "d-three", service: pgTrust, volumes: "./pgdata:/var/lib/postgresql/data", sql: [][2]string{{"postgres", "create table t(id int); insert into t values (1);"}}},
		{name: "f-sixteen", service: pgTrust, sql: [][2]string{{"postgres", "create database closed;"}, {"closed", "create table k(id int); insert into k values (1);"},
			{"template1", "create table in_template(id int); insert into in_template values (5);"}, {"postgres", "alter database closed allow_connections false;"}}},
		{name: "f-three", service: "environment: {POSTGRES_PASSWORD_FILE: /run/secrets/PW, POSTGRES_INITDB_ARGS: --auth-local=scram-sha-256}\n    secrets: [PW]", secret: map[string]string{"PW": "pa ss'wo\"rd"},
			sql: [][2]string{{"postgres", "create table t(id int);"}}},
		{name: "f-fifteen", service: pgTrust, volumes: "db:/var/lib/postgresql/data\", \"./init:/docker-entrypoint-initdb.d:ro", files: map[string]string{"init/1.sql": "create table old_name(id int); create role reader;\n"},
			sql: [][2]string{{"postgres", "alter table old_name rename to new_name; insert into new_name values (7);"}}},
		{name: "f-one", service: "environment: {POSTGRES_USER_FILE: /run/secrets/PGUSER, POSTGRES_HOST_AUTH_METHOD: trust}\n    secrets: [PGUSER]", secret: map[string]string{"PGUSER": "carol"}, user: "carol",
			sql: [][2]string{{"carol", "create table t(id int);"}}},
		{name: "f-two", service: pgTrust + "\n    command: [postgres, -c, port=5433]", port: "5433", sql: [][2]string{{"postgres", "create table t(id int);"}}},
		{name: "f-seventeen", service: pgTrust, sql: [][2]string{{"!", "install -d -o postgres -g postgres /var/lib/postgresql/fast"},
			{"postgres", "create tablespace fast location '/var/lib/postgresql/fast'; create table k(id int) tablespace fast; insert into k values (1);"}}},
		{name: "absolute", service: pgTrust, volumes: "/srv/absolute:/var/lib/postgresql/data", sql: [][2]string{{"postgres", "create table t(id int);"}}},
		{name: "external", service: pgTrust, volumes: "kept:/var/lib/postgresql/data", sql: [][2]string{{"postgres", "create table t(id int);"}}},
		{name: "bitnami", service: "environment: {PGDATA: /bitnami/postgresql/data, POSTGRES_PASSWORD_FILE: /run/secrets/PW, POSTGRES_INITDB_ARGS: --auth-local=md5, POSTGRESQL_USERNAME: app, POSTGRESQL_POSTGRES_PASSWORD_FILE: /run/secrets/PW}\n    secrets: [PW]",
			volumes: "db:/bitnami/postgresql", secret: map[string]string{"PW": "bit-nami"}, sql: [][2]string{{"postgres", "create role app login password 'x'; create database app owner app;"}, {"app", "create table t(id int);"}}},
		{name: "three-databases", service: pgTrust, sql: [][2]string{{"postgres", `create role reader; create role app login password 's' connection limit 3; grant reader to app with admin option; comment on role app is 'the app';
create database one owner app;
create database two;
create database three;
revoke connect on database two from public; grant connect on database two to reader; alter role app in database one set search_path = x, public; alter database three set default_transaction_read_only = on; alter role postgres set statement_timeout = '1s';`},
			{"one", "create schema x authorization app; create table x.t(id int); alter default privileges for role app in schema x grant select on tables to reader;"}}},
		{name: "large-objects", service: pgTrust, sql: [][2]string{{"postgres", "select lo_from_bytea(4711, decode(repeat('00ff', 9000), 'hex'));"}}},
		{name: "extensions", service: pgTrust, sql: [][2]string{{"postgres", "create extension pgcrypto; create extension hstore; create table h(v hstore); insert into h values ('a=>1'); create publication p for table h; create subscription s connection 'host=nowhere' publication p with (connect = false);"}}},
		{name: "settings", service: pgTrust + "\n    command: [postgres, -c, shared_preload_libraries=pg_stat_statements]", sql: [][2]string{{"postgres", "create extension pg_stat_statements; alter system set work_mem = '7MB';\nselect pg_reload_conf();"}}},
		{name: "odd-names", service: pgTrust, sql: [][2]string{{"postgres", "create role \"O'Brien\"; create database \"a=b c\" owner \"O'Brien\"; \nalter database \"a=b c\" set work_mem = '5MB'; create table \"Tab\tle\nx\"(id int);"}}},
		{name: "no-postgres", service: "environment: {POSTGRES_HOST_AUTH_METHOD: trust, POSTGRES_DB: app}", sql: [][2]string{{"app", "drop database postgres;\ncreate table t(id int);"}}},
		{name: "triggers", service: pgTrust, sql: [][2]string{{"postgres", `create table part(id int) partition by range (id); create table part_1 partition of part for values from (0) to (10); insert into part values (3);
create function f() returns event_trigger language plpgsql as 'begin raise exception ''no''; end'; create materialized view m as select * from part; create unlogged table u(id bigserial); insert into u default values; create event trigger e on sql_drop execute function f();`}}},
		{name: "checksums", service: "environment: {POSTGRES_HOST_AUTH_METHOD: trust, POSTGRES_INITDB_ARGS: --data-checksums --locale=C --encoding=LATIN1 --wal-segsize=1}", sql: [][2]string{{"postgres", "create database u encoding 'UTF8' lc_collate 'C' lc_ctype 'C.UTF-8' template template0;"}}},
	}
}

func (m pgMake) compose(host, image string) string {
	volumes, policy, declared := m.volumes, "", "volumes: {db: {}}\n"
	switch {
	case volumes == "":
		volumes = "db:/var/lib/postgresql/data"
	case strings.HasPrefix(volumes, "./"):
		declared = ""
	case strings.HasPrefix(volumes, "/"):
		declared, policy = "", "\n  volumes: {/srv/absolute: {protect: snapshot}}"
	case strings.HasPrefix(volumes, "kept:"):
		declared, policy = "volumes: {kept: {external: true}}\n", "\n  volumes: {kept: {protect: snapshot}}"
	}
	secrets := ""
	for name := range m.secret {
		secrets += fmt.Sprintf("secrets: {%s: {environment: %s}}\n", name, name)
	}
	return fmt.Sprintf("x-salvor:\n  host: %s\n  pause: {limit: %s}%s\nservices:\n  db:\n    image: %s\n    volumes: [\"%s\"]\n    %s\n%s%s", host, world.PauseLimit, policy, image, volumes, m.service, declared, secrets)
}

// psql runs a script in the server's container, as who may do everything there.
func (m pgMake) psql(t *testing.T, h *lab.Host, database, script string) string {
	t.Helper()
	if database == "!" {
		return exec(t, h, "docker exec "+m.container()+" "+script)
	}
	user, port, password := m.user, m.port, ""
	if user == "" {
		user = "postgres"
	}
	if port == "" {
		port = "5432"
	}
	for _, value := range m.secret {
		if user != value {
			password = value
		}
	}
	must(t, h.WriteFile(t.Context(), "/root/script.sql", script))
	quoted := strings.ReplaceAll(password, "'", `'\''`)
	return exec(t, h, fmt.Sprintf("docker exec -i -e PGPASSWORD='%s' -e PGOPTIONS='-c statement_timeout=0' -e PGUSER=%s -e PGPORT=%s -e PGDATABASE='%s' %s sh -c '%s' </root/script.sql", quoted, user, port, database, m.container(), pgRun))
}

// pgRun runs a script for psql, or the programs that it names.
const pgRun = `read -r first; case $first in "#!"*) exec sh -c "${first#??}" ;; *) { printf "%s\n" "$first"; cat; } | psql -X -q -A -t -v ON_ERROR_STOP=1 ;; esac`

func (m pgMake) container() string { return m.name + "-db-1" }

var pgNoise = regexp.MustCompile(`(?m)^(--.*|\\(un)?restrict .*|)\n`)

// account is everything that the server's own programs say of it.
func (m pgMake) account(t *testing.T, h *lab.Host) string {
	t.Helper()
	all := m.psql(t, h, "template1", "#!pg_dumpall -l template1 --globals-only\n")
	list := m.psql(t, h, "template1", "select datname || E'\\t' || datallowconn from pg_database where datname <> 'template0' order by 1;\n")
	for line := range strings.SplitSeq(list, "\n") {
		name, open, _ := strings.Cut(line, "\t")
		if open == "false" {
			m.psql(t, h, "template1", "alter database "+name+" allow_connections true;\n")
		}
		all += m.psql(t, h, name, "#!pg_dump --create\n")
		if open == "false" {
			m.psql(t, h, "template1", "alter database "+name+" allow_connections false;\n")
		}
	}
	all += list + m.psql(t, h, "template1", "select name, setting from pg_settings where name in ('work_mem','data_checksums','wal_segment_size','port');\n")
	return pgNoise.ReplaceAllString(all+"\n", "")
}

// withoutTablespace is an account whose tables came back in the default tablespace.
func withoutTablespace(account string) string {
	account = regexp.MustCompile(`(?m)^CREATE TABLESPACE .*\n`).ReplaceAllString(account, "")
	return strings.ReplaceAll(account, "default_tablespace = fast", "default_tablespace = ''")
}

// TestPostgres runs Postgres servers of different make on one host, takes a
// snapshot of each, loses the host and recovers them on another: what pg_dump and
// pg_dumpall say of each is the same as before.
func TestPostgres(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, usualFor)
	makes := drawn(s, pgMakes(), 4)
	w, alpha := pgFleet(t, s, makes)
	before := map[string]string{}
	for _, m := range makes {
		eventually(t, m.name+" answers", func() error {
			_, err := alpha.Exec(ctx, "sh", "-c", "docker exec "+m.container()+" sh -c 'test \"$(cat /proc/1/comm)\" = postgres && pg_isready -q -p "+"${PGPORT:-"+portOf(m)+"}'")
			return err
		})
		_, err := w.Salvor(ctx, nil, "snapshot", "take", m.name) // the host's own first one keeps databases open while it is taken
		must(t, err)
		for _, step := range m.sql {
			m.psql(t, alpha, step[0], step[1]+"\n")
		}
		before[m.name] = m.account(t, alpha)
		out, err := w.Salvor(ctx, nil, "snapshot", "take", m.name)
		must(t, err)
		if copied := strings.Contains(out, "can't be dumped and loaded"); copied != m.copied {
			t.Errorf("%s: files copied instead of a dump: %t, want %t:\n%s", m.name, copied, m.copied, out)
		}
	}
	must(t, alpha.Kill(ctx))
	gamma := spare(t, w, "gamma")
	if exists := exec(t, gamma, "docker volume create kept"); exists == "" {
		t.Error("no volume")
	}
	_, err := w.Salvor(ctx, nil, "recover", "alpha", "--to", "gamma")
	must(t, err)
	same := 0
	for _, m := range makes {
		want := before[m.name]
		if m.name == "f-seventeen" {
			want = withoutTablespace(want)
		}
		if diff := cmp.Diff(want, m.account(t, gamma)); diff != "" {
			t.Errorf("%s (-before +after):\n%s", m.name, diff)
			continue
		}
		same++
	}
	s.Count("Postgres servers that came back whole", same)
	t.Logf("proved: %d of %d Postgres servers came back as pg_dump saw them", same, len(makes))
}

func portOf(m pgMake) string {
	if m.port != "" {
		return m.port
	}
	return "5432"
}

func pgFleet(t *testing.T, s *scenario.Scenario, makes []pgMake) (*world.World, *lab.Host) {
	t.Helper()
	ctx := t.Context()
	w, images, alpha := onAlpha(t, s)
	exec(t, alpha, "docker volume create kept")
	for _, m := range makes {
		for name, value := range m.secret {
			_, err := w.Salvor(ctx, strings.NewReader(value), "secret", "set", m.name+"/"+name)
			must(t, err)
		}
		must(t, w.Write("stacks/"+m.name+"/compose.yaml", m.compose("alpha", images.Postgres)))
		for name, content := range m.files {
			must(t, w.Write("stacks/"+m.name+"/"+name, content))
		}
	}
	must(t, w.Commit(ctx, "the servers"))
	_, err := w.Salvor(ctx, nil, "apply")
	must(t, err)
	return w, alpha
}
