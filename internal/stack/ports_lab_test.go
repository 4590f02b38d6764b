package stack_test

import (
	"testing"

	"salvor/internal/progress"
)

// testKeptPorts cuts the power while Docker has published a container's port and
// waits for containerd to start it. That Docker keeps the port then is asked first:
// if a later one releases it, FreePorts has nothing to do and can be removed.
func testKeptPorts(t *testing.T, l *labHost) {
	const name = "stack-ports"
	l.clean(t, name)
	if err := l.OpenGate(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	d := l.rendered(t, name, simple("APP:1", "while true; do sleep 1; done", "    ports: [\"8086:80\"]\n"))
	if _, err := l.Deploy(t.Context(), d, progress.Discard()); err != nil {
		t.Fatal(err)
	}
	if freed, err := l.FreePorts(t.Context()); freed || err != nil {
		t.Fatalf("with a container that has the port: %t, %v", freed, err)
	}
	if err := l.Stop(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if freed, err := l.FreePorts(t.Context()); freed || err != nil {
		t.Fatalf("with no port published: %t, %v", freed, err)
	}
	l.cutWhileStarting(t, name+"-web-1")
	if l.sh2("docker run --rm --detach --publish 8086:80 "+l.app+":1 'sleep 1'") == nil {
		t.Fatal("Docker kept no port over the power cut")
	}
	if freed, err := l.FreePorts(t.Context()); !freed || err != nil {
		t.Fatalf("with a port that Docker kept: %t, %v", freed, err)
	}
	if err := l.OpenGate(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Deploy(t.Context(), d, progress.Discard()); err != nil {
		t.Error(err)
	}
}

func (l *labHost) cutWhileStarting(t *testing.T, container string) {
	t.Helper()
	l.sh(t, "kill -STOP $(pidof containerd)")
	ended := make(chan bool)
	go func() {
		defer close(ended)
		_ = l.sh2("docker start " + container) // ends with the power
	}()
	until(t, "the port is published", func() bool { return l.sh2("pidof -q docker-proxy") == nil })
	if err := l.lab.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-ended
	if err := l.lab.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the engine answers", func() bool { return l.sh2("docker info >/dev/null 2>&1") == nil })
}
