package stack_test

import (
	"slices"
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/progress"
)

const checkedCompose = `services:
  db:
    image: APP:1
    command: ["while true; do sleep 1; done"]
    stop_grace_period: 1s
    healthcheck: {test: ["CMD", "/bin/busybox", "true"], interval: 6s}
  web:
    image: APP:1
    command: ["while true; do sleep 2; done"]
    stop_grace_period: 1s
    depends_on: {db: {condition: service_healthy}}
`

// testHealthAfterPause asks for a healthy service right after a pause. That the
// engine calls it unhealthy then is asked first: where a later one does not,
// correctHealth and awaitChecks may go.
func testHealthAfterPause(t *testing.T, l *labHost) {
	const name = "stack-paused"
	l.clean(t, name)
	if err := l.OpenGate(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	d := l.rendered(t, name, map[string]string{"compose.yaml": checkedCompose})
	if _, err := l.Deploy(t.Context(), d, progress.Discard()); err != nil {
		t.Fatal(err)
	}
	l.pauseFor(t, name, "db")
	if health := l.healthOf(t, name, "db"); health != "healthy" {
		t.Errorf("observed after a pause: %q", health)
	}
	if err := l.Start(t.Context(), name, nil, progress.Discard()); err != nil {
		t.Errorf("start after a pause: %v", err)
	}
	changed := l.rendered(t, name, map[string]string{"compose.yaml": strings.Replace(checkedCompose, "sleep 2;", "sleep 3;", 1)})
	l.pauseFor(t, name, "db")
	if _, err := l.Deploy(t.Context(), changed, progress.Discard()); err != nil {
		t.Errorf("deploy after a pause: %v", err)
	}
}

// pauseFor leaves the engine calling a service unhealthy. A check that comes before one has
// looked makes it healthy again: then it is paused again.
func (l *labHost) pauseFor(t *testing.T, name, service string) {
	t.Helper()
	var got string
	for range 10 {
		l.pauseOnce(t, name)
		if got = l.sh(t, "docker inspect -f '{{.State.Health.Status}} {{.State.Health.FailingStreak}}' "+name+"-"+service+"-1"); got == "unhealthy 0" {
			return
		}
	}
	t.Fatalf("the engine says %q right after a pause", got)
}

func (l *labHost) pauseOnce(t *testing.T, name string) {
	t.Helper()
	ids, err := l.Running(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Pause(t.Context(), ids...); err != nil {
		t.Fatal(err)
	}
	if err := l.Unpause(t.Context(), ids...); err != nil {
		t.Fatal(err)
	}
}

func (l *labHost) healthOf(t *testing.T, name, service string) string {
	t.Helper()
	states, err := l.Observe(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := l.Rows(t.Context(), states[0])
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(rows, func(r agentapi.ServiceRow) bool { return r.Name == service })
	return rows[i].Health
}
