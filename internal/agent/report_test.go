package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/machine/observe"
	"salvor/internal/project"
)

// TestPortsOfTheEngine: what the engine listens on for a container is the container's.
func TestPortsOfTheEngine(t *testing.T) {
	at := func(port int) project.HostPort {
		return project.HostPort{Address: "0.0.0.0", Protocol: "tcp", First: port, Last: port}
	}
	e := agentapi.Engine{Containers: []agentapi.HostContainer{{Name: "web", Ports: []project.HostPort{at(80)}}}}
	for name, c := range map[string]struct {
		l    observe.Listener
		want bool
	}{
		"its proxy":                  {observe.Listener{HostPort: at(80), Program: "docker-proxy"}, true},
		"a proxy of no container":    {observe.Listener{HostPort: at(81), Program: "docker-proxy"}, true},
		"an engine without proxies":  {observe.Listener{HostPort: at(80), Program: "dockerd"}, true},
		"the engine's own interface": {observe.Listener{HostPort: at(2375), Program: "dockerd"}, false},
		"another program":            {observe.Listener{HostPort: at(80), Program: "nginx"}, false},
	} {
		if got := ofEngine(c.l, e); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestMemory(t *testing.T) {
	for line, want := range map[string]int64{"MemTotal:        8146092 kB": 8146092 << 10, "": 0, "MemFree: 1 kB": 0, "MemTotal: x kB": 0} {
		if diff := cmp.Diff(want, memory(line)); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", line, diff)
		}
	}
}

// TestFreeAbove: a host that is not prepared yet has no folder for volumes.
func TestFreeAbove(t *testing.T) {
	dir := t.TempDir()
	if there, above := freeAbove(dir), freeAbove(dir+"/not/yet"); there == 0 || above == 0 {
		t.Errorf("%d and %d bytes", there, above)
	}
}
