package stack_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/stack"
)

func simple(image, command, more string) map[string]string {
	return map[string]string{"compose.yaml": "services:\n  web:\n    image: " + image + "\n    command: [\"" + command + "\"]\n    stop_grace_period: 1s\n" + more}
}

// Killed between create and start: the containers exist and none runs; the next
// deploy starts those very containers.
func testDeployAfterCreateOnly(t *testing.T, l *labHost) {
	const name = "stack-cut"
	l.clean(t, name)
	d := l.rendered(t, name, simple("APP:1", "while true; do sleep 1; done", "    volumes: [\"db:/db\"]\nvolumes: {db: }\n"))
	if err := l.Create(t.Context(), d, progress.Discard()); err != nil {
		t.Fatal(err)
	}
	created := l.sh(t, "docker inspect -f '{{.Id}} {{.State.Status}}' "+name+"-web-1; ls /run/salvor/gate; docker volume ls -q -f name="+name)
	id, _, ok := strings.Cut(created, " created")
	if !ok || strings.Contains(created, "\n"+name+"\n") || !strings.Contains(created, name+"_db") {
		t.Fatalf("after create: %s", created)
	}
	if err := l.OpenGate(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	res, err := l.Deploy(t.Context(), d, progress.Discard())
	if err != nil || res.Containers[name+"-web-1"] != id {
		t.Errorf("%+v, %v; created %s", res, err, id)
	}
}

func testFirstDeployThatFails(t *testing.T, l *labHost) {
	const name = "stack-bad"
	l.clean(t, name)
	if err := l.OpenGate(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	for what, tc := range map[string]struct{ image, command, more, want string }{
		"crash loop":    {"APP:1", "echo no database; exit 1", "    restart: always\n", "restart"},
		"no such image": {"APP:none", "true", "", "none"},
		"unhealthy":     {"APP:1", "while true; do sleep 1; done", "    healthcheck: {test: [\"CMD\", \"/bin/busybox\", \"false\"], interval: 200ms, retries: 2}\n", "unhealthy"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := l.Deploy(t.Context(), l.rendered(t, name, simple(tc.image, tc.command, tc.more)), progress.Discard())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
			t.Log(err)
		})
	}
}

func testEnsureNetworks(t *testing.T, l *labHost) {
	const name = "stack-net"
	l.clean(t, name)
	l.sh(t, "docker network rm stack-proxy >/dev/null 2>&1 || true")
	t.Cleanup(func() { _ = l.sh2("docker rm -f " + name + "-web-1; docker network rm stack-proxy") })
	for range 2 {
		if err := l.EnsureNetworks(t.Context(), []fleet.Network{{Name: "stack-proxy", Internal: true}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.OpenGate(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	d := l.rendered(t, name, simple("APP:1", "while true; do sleep 1; done", "networks: {default: {name: stack-proxy, external: true}}\n"))
	if _, err := l.Deploy(t.Context(), d, progress.Discard()); err != nil {
		t.Fatal(err)
	}
	if got := l.sh(t, "docker inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}' "+name+"-web-1"); got != "stack-proxy" {
		t.Error(got)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

// Built from the commit; a build that does not run gives the old image back.
func testBuildExecLogsIsolated(t *testing.T, l *labHost) {
	const name = "stack-built"
	l.clean(t, name)
	if err := l.OpenGate(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	files := func(body string) map[string]string {
		return map[string]string{
			"compose.yaml": "services:\n  web:\n    build: .\n    stop_grace_period: 1s\n    volumes: [\"db:/db\"]\nvolumes: {db: }\n",
			"Dockerfile":   "FROM APP:1\nCOPY run.sh /run.sh\nENTRYPOINT [\"/bin/busybox\", \"sh\", \"/run.sh\"]\n", "run.sh": body}
	}
	const loop = "echo version one; echo kept >/db/row; while true; do echo tick; sleep 1; done\n"
	d := l.rendered(t, name, files(loop))
	if _, err := l.Deploy(t.Context(), d, progress.Discard()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Deploy(t.Context(), l.rendered(t, name, files("exit 4\n")), progress.Discard()); err == nil || !strings.Contains(err.Error(), "runs again") {
		t.Fatalf("broken build: %v", err)
	}
	var out bytes.Buffer
	if err := l.Exec(t.Context(), name, stack.Session{Service: "web", Argv: []string{"/bin/busybox", "cat", "/run.sh"}, Stdout: &out}); err != nil || out.String() != loop {
		t.Errorf("exec: %v, %q", err, out.String())
	}
	if err := l.Exec(t.Context(), name, stack.Session{Service: "web", Argv: []string{"/nosuch"}}); err == nil || !strings.Contains(err.Error(), `exec: "/nosuch"`) {
		t.Errorf("a command that is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	followed, ended := &syncBuffer{}, make(chan struct{})
	go func() {
		defer close(ended)
		_ = l.Logs(ctx, name, followed, stack.LogOptions{Follow: true})
	}()
	until(t, "two ticks in the log", func() bool { return strings.Count(followed.String(), "tick") > 2 })
	cancel()
	<-ended
	beside(t, l, d)
}

func beside(t *testing.T, l *labHost, d stack.Deployment) {
	const folder = "/var/lib/salvor/beside-test"
	l.sh(t, "mkdir -p "+folder+"/data")
	t.Cleanup(func() { _ = l.sh2("rm -rf " + folder) })
	b := stack.Isolated{Stack: d.Stack, Service: "web", Compose: d.Project.Compose, MountAt: "/db", StopSignal: "SIGINT", Folder: folder + "/data",
		User: "0:0", Entrypoint: []string{"/bin/busybox", "sh", "-c", `echo $0 >/db/row; exec /bin/busybox sleep 60`, "kept"}, Healthy: []string{"/bin/busybox", "test", "-s", "/db/row"}}
	if err := l.StartIsolated(t.Context(), b, folder, progress.Discard()); err != nil {
		t.Fatal(err)
	}
	if got := l.sh(t, "cat "+folder+"/data/row; docker inspect -f '{{.HostConfig.NetworkMode}}' "+b.Name()+"-web-1"); got != "kept\nnone" {
		t.Error(got)
	}
	for range 2 {
		if err := l.StopIsolated(t.Context(), b, folder); err != nil {
			t.Error(err)
		}
	}
}

func testObserveIsQuick(t *testing.T, l *labHost) {
	names := strings.Fields("a b c d e f g h i j")
	if _, err := l.Observe(t.Context()); err != nil { // connects
		t.Fatal(err)
	}
	l.calls = nil
	began := time.Now()
	if _, err := l.Observe(t.Context(), names...); err != nil {
		t.Fatal(err)
	}
	t.Logf("10 stacks: %s, of which %d reads through docker exec", time.Since(began), len(l.calls))
	if len(l.calls) != 2*len(names) { // what is deployed, and the name of its project
		t.Errorf("calls: %v", l.calls)
	}
}

// The first deploy pins what it pulled, the lock's pin decides later ones, and a tag
// that moves in the registry changes nothing alone.
func testDeployPinsImages(t *testing.T, l *labHost) {
	const name = "stack-pins"
	l.clean(t, name)
	if err := l.OpenGate(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	d := l.rendered(t, name, simple("APP:1", "while true; do sleep 1; done", ""))
	first, err := l.Deploy(t.Context(), d, progress.Discard())
	if err != nil || !strings.HasPrefix(first.Images["web"], l.app+":1@sha256:") {
		t.Fatalf("%+v, %v", first, err)
	}
	d.Images, d.Commit = first.Images, "c2"
	again, err := l.Deploy(t.Context(), d, progress.Discard())
	if err != nil || !again.Untouched {
		t.Errorf("with the lock's pin: %+v, %v", again, err)
	}
	d.Images = nil
	d.Project = l.rendered(t, name, simple("APP:1", "while true; do sleep 2; done", "")).Project
	l.calls = nil
	later, err := l.Deploy(t.Context(), d, progress.Discard())
	if err != nil || later.Images["web"] != first.Images["web"] || len(later.Recreated) != 1 {
		t.Errorf("%+v, %v", later, err)
	}
	for _, c := range l.calls {
		if strings.Contains(c, " pull ") {
			t.Errorf("pulled what is here: %s", c)
		}
	}
}

// A power cut: tmpfs is empty afterwards, the engine tries to start what says
// restart: always, and must not; once the gate is open the stack starts.
func testGateAfterPowerCut(t *testing.T, l *labHost) {
	const name = "stack-cutoff"
	l.clean(t, name)
	if err := l.OpenGate(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	d := l.rendered(t, name, simple("APP:1", "while true; do sleep 1; done", "    restart: always\n"))
	if _, err := l.Deploy(t.Context(), d, progress.Discard()); err != nil {
		t.Fatal(err)
	}
	if err := l.lab.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.lab.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the engine answers", func() bool { return l.sh2("docker info >/dev/null 2>&1") == nil })
	until(t, "the engine gave the container up", func() bool {
		return l.sh(t, "docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' "+name+"-web-1") == "exited 127"
	})
	states, err := l.Observe(t.Context(), name)
	if err != nil || states[0].Running() || len(states[0].Missing) != 1 {
		t.Fatalf("after the cut: %+v, %v", states, err)
	}
	if err := l.OpenGate(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context(), name, nil, progress.Discard()); err != nil {
		t.Fatal(err)
	}
	if res, err := l.Deploy(t.Context(), d, progress.Discard()); err != nil || !res.Untouched {
		t.Errorf("%+v, %v", res, err)
	}
}
