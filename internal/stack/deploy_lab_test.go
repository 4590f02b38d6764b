package stack_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/stack"
	"salvor/internal/stack/compose"
)

// rendered loads a stack from files as an operator would. APP: in a file stands
// for the test image.
func (l *labHost) rendered(t *testing.T, name string, files map[string]string, keys ...string) stack.Deployment {
	t.Helper()
	repo := t.TempDir()
	dir := filepath.Join(repo, "stacks", name)
	for file, content := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(strings.ReplaceAll(content, "APP:", l.app+":")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	loaded, findings, err := compose.Load(t.Context(), compose.Options{RepoDir: repo, SecretKeys: keys, Stack: fleet.Stack{Name: name, Dir: "stacks/" + name, File: "compose.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Log(f)
	}
	return stack.Deployment{Stack: name, Epoch: 1, Commit: "c1", Project: loaded.Project, Settle: 3 * time.Second, Patience: 5 * time.Minute}
}

// clean removes what a test's stack leaves, before and after.
func (l *labHost) clean(t *testing.T, name string) {
	t.Helper()
	script := "docker ps -aq --filter label=com.docker.compose.project=" + name + " | xargs -r docker rm -f; docker volume ls -q --filter label=com.docker.compose.project=" + name +
		" | xargs -r docker volume rm; docker network ls -q --filter label=com.docker.compose.project=" + name + " | xargs -r docker network rm; rm -rf /var/lib/salvor/stacks/" + name + " /var/lib/salvor/volumes/" + name +
		" /run/salvor/gate/" + name + " /run/salvor/secrets/" + name
	l.sh(t, script)
	t.Cleanup(func() {
		if !t.Failed() {
			_ = l.sh2(script)
		}
	})
}

const webCompose = `services:
  web:
    image: APP:1
    command: ["echo serving $$HOSTNAME; cat /etc/greeting; cat /run/secrets/pw; echo pw=$$PW; touch /data/x; while true; do sleep 1; done"]
    environment: {PW: "${PASSWORD}"}
    stop_grace_period: 1s
    secrets: [pw]
    healthcheck: {test: ["CMD", "/bin/busybox", "test", "-f", "/data/x"], interval: 500ms}
    volumes: ["data:/data", "./state:/state", "./greeting:/etc/greeting:ro"]
  side:
    image: APP:1
    command: ["while true; do sleep 1; done"]
    stop_grace_period: 1s
    depends_on: {once: {condition: service_completed_successfully}, web: {condition: service_healthy}}
  once:
    image: APP:1
    command: ["echo migrated"]
volumes: {data: {}}
secrets: {pw: {environment: PASSWORD}}
`

func (l *labHost) deliver(t *testing.T, name string) {
	l.sh(t, "mkdir -p /run/salvor/secrets/"+name+"/web && echo s3cret >/run/salvor/secrets/"+name+"/web/pw && echo PASSWORD=s3cret >/run/salvor/secrets/"+name+"/.env")
	if err := l.OpenGate(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

func testDeploy(t *testing.T, l *labHost) {
	const name = "stack-web"
	l.clean(t, name)
	l.deliver(t, name)
	d := l.rendered(t, name, map[string]string{"compose.yaml": webCompose, "greeting": "hello one\n"}, "PASSWORD")
	first, err := l.Deploy(t.Context(), d, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	if first.Untouched || len(first.Containers) != 3 {
		t.Fatalf("first deploy: %+v", first)
	}
	t.Run("the container has its config, its secret and its gate", func(t *testing.T) {
		var logs bytes.Buffer
		if err := l.Logs(t.Context(), name, &logs, stack.LogOptions{Services: []string{"web"}, Tail: 10}); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"hello one", "s3cret", "pw=s3cret"} {
			if !strings.Contains(logs.String(), want) {
				t.Errorf("logs lack %q:\n%s", want, logs.String())
			}
		}
		if found := l.sh(t, "grep -rl s3cret /var/lib/salvor || true"); found != "" {
			t.Errorf("a secret is on disk: %s", found)
		}
	})
	t.Run("deploying the same touches and calls nothing", func(t *testing.T) {
		l.calls = nil
		again, err := l.Deploy(t.Context(), d, progress.Discard())
		if err != nil || !again.Untouched {
			t.Fatalf("%+v, %v", again, err)
		}
		for _, c := range l.calls {
			if !strings.HasPrefix(c, "cat ") {
				t.Errorf("called %s", c)
			}
		}
	})
	t.Run("only the content of a config file changed", func(t *testing.T) {
		changed := l.rendered(t, name, map[string]string{"compose.yaml": webCompose, "greeting": "hello two\n"}, "PASSWORD")
		res, err := l.Deploy(t.Context(), changed, progress.Discard())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(res.Recreated, " "), "web") || l.sh(t, "docker exec "+name+"-web-1 /bin/busybox cat /etc/greeting") != "hello two" {
			t.Errorf("recreated %v", res.Recreated)
		}
		d = changed
	})
	t.Run("a failing version is taken back", func(t *testing.T) { failsAndComesBack(t, l, d) })
	t.Run("observation sees what runs", func(t *testing.T) {
		states, err := l.Observe(t.Context(), name, "stack-none")
		if err != nil {
			t.Fatal(err)
		}
		s := states[0]
		if !s.Untouched(d) || !s.Running() || len(s.Missing)+len(s.Drifted)+len(s.Ungated) > 0 {
			t.Errorf("%+v", s)
		}
		rows, err := l.Rows(t.Context(), s)
		if err != nil || len(rows) != 3 {
			t.Errorf("%+v, %v", rows, err)
		}
		if states[1].Deployed || states[1].Running() {
			t.Errorf("%+v", states[1])
		}
	})
	t.Run("pause and unpause", func(t *testing.T) {
		ids, err := l.Running(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Pause(t.Context(), ids...); err != nil {
			t.Fatal(err)
		}
		if got := l.sh(t, "docker inspect -f '{{.State.Status}}' "+name+"-web-1"); got != "paused" {
			t.Error(got)
		}
		for range 2 {
			if err := l.Unpause(t.Context(), ids...); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("without its gate a container stays down, with it the stack starts", func(t *testing.T) { Gated(t, l, name) })
	t.Run("down keeps volumes", func(t *testing.T) {
		if err := l.Down(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if got := l.sh(t, "docker ps -aq --filter label=com.docker.compose.project="+name+"; docker volume ls -q --filter name="+name); got != name+"_data" {
			t.Errorf("left: %q", got)
		}
		if res, err := l.Deploy(t.Context(), d, progress.Discard()); err != nil || res.Untouched {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

func failsAndComesBack(t *testing.T, l *labHost, good stack.Deployment) {
	broken := l.rendered(t, good.Stack, map[string]string{"compose.yaml": strings.Replace(webCompose, "touch /data/x; while", "echo about to fail; exit 3; while", 1), "greeting": "hello broken\n", "extra": "x"}, "PASSWORD")
	_, err := l.Deploy(t.Context(), broken, progress.Discard())
	var failed *stack.FailedError
	if !errors.As(err, &failed) {
		t.Fatalf("deploy: %v", err)
	}
	if failed.Service != "web" || !failed.Restored || !strings.Contains(strings.Join(failed.Logs, "\n"), "about to fail") || !strings.Contains(fault.Hint(err), "salvor logs stack-web web") {
		t.Errorf("%v\n%+v\nhint: %s", err, failed, fault.Hint(err))
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error has more than a line: %v", err)
	}
	if got := l.sh(t, "docker exec stack-web-web-1 /bin/busybox cat /etc/greeting"); got != "hello two" {
		t.Errorf("running: %q", got)
	}
	if res, err := l.Deploy(t.Context(), good, progress.Discard()); err != nil || !res.Untouched {
		t.Errorf("after the restore the good version is not as it was: %+v, %v", res, err)
	}
}

func Gated(t *testing.T, l *labHost, name string) {
	if err := l.Stop(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := l.CloseGate(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	l.sh(t, "docker start "+name+"-web-1 >/dev/null 2>&1 && exit 1 || true")
	if got := l.sh(t, "docker inspect -f '{{.State.Running}}' "+name+"-web-1"); got != "false" {
		t.Errorf("running without a gate: %s", got)
	}
	if err := l.Start(t.Context(), name, nil, progress.Discard()); err == nil {
		t.Error("started without a gate")
	}
	if err := l.OpenGate(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context(), name, nil, progress.Discard()); err != nil {
		t.Error(err)
	}
}
