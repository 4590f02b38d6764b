package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"salvor/internal/fault"
	"salvor/internal/lab"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// rotating is a stack with a service for each way of notification. Each but the
// database notes what it read at its start; web also counts its signals, and keeps
// looking at two secrets that must always change together.
func rotating(i world.Images) string {
	const seen = `cp -L /run/secrets/token /seen; exec sleep infinity`
	service := func(name, script, more string) string {
		return fmt.Sprintf("  %s:\n    image: %s\n    stop_grace_period: 1s\n    command: [sh, -c, %q]\n%s", name, i.Nginx, script, more)
	}
	return `x-salvor:
  host: alpha
  on_change: {web: "signal:USR1", again: restart, anew: recreate}
  on_rotate:
    db:
      - sh
      - -c
      - |
        psql -U postgres -v ON_ERROR_STOP=1 <<'SQL'
        \set password ` + "`cat /run/secrets/POSTGRES_PASSWORD`" + `
        ALTER USER postgres PASSWORD :'password';
        SQL
services:
` + service("web", watch, "    secrets: [token, pair]\n") +
		service("quiet", seen, "    secrets: [token]\n") +
		service("again", seen, "    secrets: [token]\n") +
		service("anew", seen, "    secrets: [token]\n") +
		service("alone", `cp /etc/token /seen; exec sleep infinity`, "    secrets: [{source: token, target: /etc/token}]\n") +
		service("environ", `echo "$$TOKEN" >/seen; exec sleep infinity`, "    environment: {TOKEN: \"${TOKEN}\"}\n") + `  db:
    image: ` + i.Postgres + `
    environment: {POSTGRES_PASSWORD_FILE: /run/secrets/POSTGRES_PASSWORD}
    secrets: [POSTGRES_PASSWORD]
    volumes: ["db:/var/lib/postgresql/data"]
    healthcheck: {test: [CMD, pg_isready, -U, postgres, -h, 127.0.0.1], interval: 30s, start_interval: 1s, start_period: 60s}
secrets:
  token: {environment: TOKEN}
  pair: {environment: PAIR}
  POSTGRES_PASSWORD: {environment: POSTGRES_PASSWORD}
volumes: {db: {}}
`
}

// watch writes a line to /log whenever what it sees changes: the time, when the look before it
// began, and what it sees. Both files are read from the version that ..data leads to, as a program does that
// wants them to belong together.
const watch = `trap 'echo told >>/told' USR1
last=
before=0
while :; do
  began=$$(date +%s.%N)
  at=/run/secrets/$$(readlink /run/secrets/..data)
  now="$$(cat $$at/token $$at/pair 2>/dev/null | tr '\n' ' ')"
  if [ "$$now" != "$$last" ] && [ -d $$at ]; then last=$$now; echo "$$(date +%s.%N) $$before $$now" >>/log; fi
  before=$$began
  sleep 0.02
done`

// TestRotation gives secrets new values under running containers: each service is
// notified as configured and no other is touched; a rotation that a service can't
// follow is undone.
func TestRotation(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, usualFor)
	w, images, alpha := onAlpha(t, s)
	for _, key := range []string{"TOKEN", "PAIR", "POSTGRES_PASSWORD"} {
		setSecret(t, w, "app/"+key, "first-"+strings.ToLower(key))
	}
	must(t, w.Write("stacks/app/compose.yaml", rotating(images)))
	must(t, w.Commit(ctx, "the stack"))
	_, err := w.Salvor(ctx, nil, "apply")
	must(t, err)

	before := containers(t, alpha)
	rotateTogether(t, s, w, alpha)
	each(t, alpha, before, map[string]string{"quiet": "first-token", "again": "second-token", "anew": "second-token", "alone": "second-token", "environ": "second-token"})
	settled(t, w)
	databaseFollows(t, s, w, alpha)
	rotationUndone(t, s, w, alpha)
	settled(t, w)
}

func setSecret(t *testing.T, w *world.World, name, value string) {
	t.Helper()
	_, err := w.Salvor(t.Context(), strings.NewReader(value), "secret", "set", name)
	must(t, err)
}

// inside runs a script in a service's container.
func inside(ctx context.Context, h *lab.Host, service, script string) (string, error) {
	out, err := h.Exec(ctx, "docker", "exec", "app-"+service+"-1", "sh", "-c", script)
	return strings.TrimSpace(out), err
}

// containers returns when each service's container was made and started.
func containers(t *testing.T, h *lab.Host) map[string][2]string {
	t.Helper()
	all := map[string][2]string{}
	for line := range strings.Lines(exec(t, h, `docker ps -aq | xargs docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}} {{.Id}} {{.State.StartedAt}}'`)) {
		f := strings.Fields(line)
		all[f[0]] = [2]string{f[1], f[2]}
	}
	return all
}

// rotateTogether sets two secrets and applies: the container sees both at one
// moment, and soon.
func rotateTogether(t *testing.T, s *scenario.Scenario, w *world.World, h *lab.Host) {
	t.Helper()
	ctx := t.Context()
	setSecret(t, w, "app/TOKEN", "second-token")
	setSecret(t, w, "app/PAIR", "second-pair")
	out, err := w.Salvor(ctx, nil, "apply")
	must(t, err)
	if !strings.Contains(out, "app") {
		t.Errorf("the receipt says nothing of app:\n%s", out)
	}
	swapped := exec(t, h, "stat -c %.9Z /run/salvor/secrets/app/web/..data")
	var log string
	eventually(t, "web sees the new secrets", func() error {
		if log, err = inside(ctx, h, "web", "cat /log"); err == nil && !strings.Contains(log, "second") {
			err = errors.New(log)
		}
		return err
	})
	lines := strings.Split(log, "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[0], " first-tokenfirst-pair") || !strings.HasSuffix(lines[1], " second-tokensecond-pair") {
		t.Fatalf("the two secrets did not change together:\n%s", log)
	}
	look := strings.Fields(lines[1])
	took := seconds(t, look[0]) - seconds(t, swapped)
	t.Logf("a running container saw both new secrets %.3f s after they were delivered", took)
	if late := seconds(t, look[1]) - seconds(t, swapped); late > 0.5 {
		t.Errorf("a look that began %.3f s after the delivery saw the former ones", late)
	}
	s.Count("milliseconds until seen", int(took*1000))
	if told, err := inside(ctx, h, "web", "cat /told"); err != nil || told != "told" {
		t.Errorf("web was signalled %q, want once: %v", told, err)
	}
}

func seconds(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	must(t, err)
	return v
}

// each checks what the services other than web read at their start, and that none was
// restarted or recreated that is not configured so.
func each(t *testing.T, h *lab.Host, before map[string][2]string, want map[string]string) {
	t.Helper()
	after := containers(t, h)
	made, started := []string{"anew", "environ"}, []string{"again", "alone", "anew", "environ"}
	for service, value := range want {
		if got, err := inside(t.Context(), h, service, "cat /seen"); err != nil || got != value {
			t.Errorf("%s read %q at its start, want %q: %v", service, got, value, err)
		}
	}
	for service, then := range before {
		if anew := after[service][0] != then[0]; anew != slices.Contains(made, service) {
			t.Errorf("%s: made anew is %t", service, anew)
		}
		if again := after[service][1] != then[1]; again != slices.Contains(started, service) {
			t.Errorf("%s: started again is %t", service, again)
		}
	}
	if got, err := inside(t.Context(), h, "quiet", "cat /run/secrets/token"); err != nil || got != "second-token" {
		t.Errorf("the file of a service that is not told holds %q: %v", got, err)
	}
}

// databaseFollows rotates a password that lives inside the database, too.
func databaseFollows(t *testing.T, s *scenario.Scenario, w *world.World, h *lab.Host) {
	t.Helper()
	began := time.Now()
	_, err := w.Salvor(t.Context(), nil, "secret", "rotate", "app/POSTGRES_PASSWORD", "--generate")
	must(t, err)
	t.Logf("the whole command took %s", time.Since(began).Round(time.Second/10))
	loggedIn(t, h, "the generated password")
	s.Count("rotations followed by a database", 1)
}

// loggedIn logs in over the network, where the password counts, with what the
// service's secret holds.
func loggedIn(t *testing.T, h *lab.Host, what string) {
	t.Helper()
	const login = `umask 077; printf '*:*:*:*:%s\n' "$(cat /run/secrets/POSTGRES_PASSWORD)" >/dev/shm/pgpass
PGPASSFILE=/dev/shm/pgpass psql -h "$(hostname -i)" -U postgres -w -tAc 'select 41 + 1'; code=$?; rm /dev/shm/pgpass; exit $code`
	if out, err := inside(t.Context(), h, "db", login); err != nil || out != "42" {
		t.Errorf("the database does not take %s: %q, %v", what, out, err)
	}
}

// rotationUndone breaks the command that follows a rotation: the old value comes
// back, in Git and in the container.
func rotationUndone(t *testing.T, s *scenario.Scenario, w *world.World, h *lab.Host) {
	t.Helper()
	ctx := t.Context()
	old, err := inside(ctx, h, "db", "cat /run/secrets/POSTGRES_PASSWORD")
	must(t, err)
	exec(t, h, `docker exec app-db-1 sh -c 'printf "#!/bin/sh\n[ \"\$(cat /run/secrets/POSTGRES_PASSWORD)\" != hunter2-bad ] || exit 7\nexec /usr/local/bin/psql.real \"\$@\"\n" >/psql && chmod 755 /psql && ln -sfn "$(readlink -f /usr/local/bin/psql)" /usr/local/bin/psql.real && rm /usr/local/bin/psql && mv /psql /usr/local/bin/psql'`)
	said := refusedWith(t, w, strings.NewReader("hunter2-bad"), fault.Partial, "secret", "rotate", "app/POSTGRES_PASSWORD")
	for _, want := range []string{"on_rotate command ended with exit code 7", "app/POSTGRES_PASSWORD has its old value again"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	if strings.Contains(said, "hunter2-bad") {
		t.Errorf("the value is in what was said:\n%s", said)
	}
	now, err := inside(ctx, h, "db", "cat /run/secrets/POSTGRES_PASSWORD")
	must(t, err)
	if now != old {
		t.Error("the old value is not back in the container")
	}
	loggedIn(t, h, "the old password")
	s.Count("rotations undone", 1)
}

// refusedWith runs a command that must end with the code, and returns what it
// said.
func refusedWith(t *testing.T, w *world.World, in *strings.Reader, code int, args ...string) string {
	t.Helper()
	_, err := w.Salvor(t.Context(), in, args...)
	var ended *world.CommandError
	if !errors.As(err, &ended) || ended.Code() != code {
		t.Fatalf("salvor %s: %v, want exit code %d", strings.Join(args, " "), err, code)
	}
	return ended.Said
}
