package scenarios

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
)

// listen starts a server that hosts of the lab reach, and returns its URL.
func listen(t *testing.T, l *lab.Lab, h http.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", l.Gateway().String()+":0")
	must(t, err)
	server := httptest.NewUnstartedServer(h)
	must(t, server.Listener.Close())
	server.Listener = ln
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually is within for as long as a boot may take on a slow machine with other labs.
func eventually(t *testing.T, what string, probe func() error) {
	t.Helper()
	within(t, 3*time.Minute, what, probe)
}

// within probes until it succeeds, for as long as limit at most. It pauses three times as
// long as a probe takes, a second at most, so that waiting slows down nothing of what is waited for.
func within(t *testing.T, limit time.Duration, what string, probe func() error) {
	t.Helper()
	deadline := time.After(limit)
	for {
		began := time.Now()
		err := probe()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: %v", what, err)
		case <-time.After(min(time.Second, max(200*time.Millisecond, 3*time.Since(began)))):
		}
	}
}

// writers are the stores of the scenario and where each one's writer listens.
var writers = map[string]string{"sqlite": ":8081", "files": ":8082", "postgres": ":8083"}

// TestPowerCut runs every kind of writer on a host whose power is cut while they
// write: each acknowledged row must be there afterwards, and none twice.
func TestPowerCut(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, 5*time.Second)
	registry, err := s.Registry(ctx, "registry", nil)
	must(t, err)
	var collector oracle.Collector
	h := hostWithWriters(t, s, registry, listen(t, s.Lab, &collector))
	waitForWrites(t, &collector, time.Time{})

	for ends := time.Now().Add(s.For); time.Now().Before(ends); {
		<-time.After(time.Duration(s.Rand.IntN(1000)) * time.Millisecond)
		must(t, h.Kill(ctx))
		cut := time.Now()
		s.Count("power cuts", 1)
		must(t, h.Start(ctx))
		waitForWrites(t, &collector, cut)
		for kind, port := range writers {
			rows := fetchRows(t, "http://"+h.Address.String()+port+"/rows?all")
			if err := collector.Check(kind, rows, cut); err != nil {
				t.Error(err)
			}
		}
	}
	for kind := range writers {
		if forks := collector.Forks(kind); len(forks) > 0 {
			t.Errorf("%s: rows %v were acknowledged twice", kind, forks)
		}
		s.Count("rows acknowledged", len(collector.Acks(kind)))
	}
}

func hostWithWriters(t *testing.T, s *scenario.Scenario, registry *lab.Registry, collector string) *lab.Host {
	t.Helper()
	ctx := t.Context()
	postgres, err := registry.Ref(ctx, lab.Postgres)
	must(t, err)
	writer, err := registry.Ref(ctx, lab.Writer)
	must(t, err)
	h, err := s.Host(ctx, "alpha", lab.HostOptions{Prepared: true})
	must(t, err)
	must(t, h.TrustRegistry(ctx, registry.Address))
	start := func(name string, argv ...string) {
		t.Helper()
		base := []string{"docker", "run", "-d", "--restart", "always", "--network", "host", "--name", name}
		_, err := h.Exec(ctx, append(base, argv...)...)
		must(t, err)
	}
	start("db", "-e", "POSTGRES_PASSWORD=lab", "-e", "POSTGRES_DB=app", "-v", "pg:/var/lib/postgresql/data", postgres)
	for kind, port := range writers {
		settings := []string{"STORE=" + kind, "WRITER=" + kind, "EVERY=20ms", "LISTEN=" + port, "COLLECTOR=" + collector}
		argv := []string{"-v", kind + ":/data"}
		for _, v := range append(settings, "PGHOST=127.0.0.1", "PGUSER=postgres", "PGPASSWORD=lab", "PGDATABASE=app") {
			argv = append(argv, "-e", v)
		}
		start(kind, append(argv, writer)...)
	}
	return h
}

// waitForWrites waits until each writer had ten writes acknowledged after since.
func waitForWrites(t *testing.T, collector *oracle.Collector, since time.Time) {
	t.Helper()
	for kind := range writers {
		eventually(t, kind+" writes", func() error {
			acks := collector.Acks(kind)
			if len(acks) >= 10 && acks[len(acks)-10].At.After(since) {
				return nil
			}
			return fmt.Errorf("%d rows acknowledged so far", len(acks))
		})
	}
}

func fetchRows(t *testing.T, url string) []oracle.Row {
	t.Helper()
	resp, err := http.Get(url)
	must(t, err)
	defer resp.Body.Close()
	var report struct{ Rows []oracle.Row }
	must(t, json.NewDecoder(resp.Body).Decode(&report))
	return report.Rows
}
