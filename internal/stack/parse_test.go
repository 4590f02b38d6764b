package stack

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/docker"
	"salvor/internal/project"
	"salvor/internal/yamldoc"
)

// TestGated: without its stack's gate, a container starts at every boot of its host.
func TestGated(t *testing.T) {
	if !Gated(docker.Container{Targets: []string{"/data", GateTarget}}) || Gated(docker.Container{Targets: []string{"/data"}}) {
		t.Error("the gate is not what tells")
	}
}

func TestDigestOf(t *testing.T) {
	for name, tc := range map[string]struct {
		ref     string
		digests []string
		want    string
	}{
		"hub image":         {"postgres:16", []string{"postgres@sha256:1"}, "sha256:1"},
		"hub, spelt out":    {"docker.io/library/postgres:16", []string{"postgres@sha256:1"}, "sha256:1"},
		"registry and port": {"registry.example:5000/a/b:1", []string{"other/b@sha256:2", "registry.example:5000/a/b@sha256:1"}, "sha256:1"},
		"port without tag":  {"registry.example:5000/b", []string{"registry.example:5000/b@sha256:1"}, "sha256:1"},
		"another's digest":  {"mine/b:1", []string{"other/b@sha256:2"}, ""},
		"never in registry": {"mine/b:1", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := digestOf(tc.ref, tc.digests); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

const rendered = `name: app
services:
  db:
    image: postgres:16
    labels: {route: "yes"}
    ports: [{target: 5432, published: "5432"}]
    depends_on: {web: {condition: service_started}}
    environment: {PASSWORD: "${PW}"}
    volumes:
      - {type: volume, source: db, target: /var/lib/postgresql/data}
      - {type: volume, source: other, target: /other}
      - {type: bind, source: ./postgresql.conf, target: /etc/p.conf, read_only: true}
      - {type: bind, source: /run/salvor/gate/app, target: /.salvor-gate, read_only: true}
  web:
    image: example/web:1
`

func TestPin(t *testing.T) {
	got, err := Pin([]byte(rendered), map[string]string{"db": "postgres:16@sha256:1", "web": "example/web:0@sha256:2", "gone": "x@sha256:3"})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := parseProject(got)
	if err != nil {
		t.Fatal(err)
	}
	for service, want := range map[string]string{"db": "postgres:16@sha256:1", "web": "example/web:1"} {
		if image := yamldoc.ValueOf(yamldoc.Find(doc, "services", service, "image")); image != want {
			t.Errorf("%s runs %s, want %s", service, image, want)
		}
	}
}

// TestPinLeavesWrittenDigests is issue 10, C.10: a security update by digest was
// reported as deployed while the lock's digest went on running.
func TestPinLeavesWrittenDigests(t *testing.T) {
	const compose = "services:\n  a: {image: \"nginx:1.27@sha256:new\"}\n  b: {image: \"nginx:1.27\", build: .}\n  c: {image: \"nginx:1.28\"}\n"
	got, err := Pin([]byte(compose), map[string]string{"a": "nginx:1.27@sha256:old", "b": "nginx:1.27@sha256:old", "c": "nginx:1.27@sha256:old"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(compose, string(got)); diff != "" {
		t.Error(diff)
	}
	r := Record{Images: map[string]string{"a": "nginx:1.27@sha256:old"}}
	d := Deployment{Images: r.Images, Project: project.Project{Services: []project.Service{{Name: "a", Image: "nginx:1.27@sha256:new"}}}}
	if r.Covers(d) {
		t.Error("a digest that does not run counts as deployed")
	}
}

func TestIsolated(t *testing.T) {
	b := Isolated{Stack: "app", Service: "db", Compose: []byte(rendered), Images: map[string]string{"db": "postgres:16@sha256:1"}, MountAt: "/var/lib/postgresql/data", Folder: "/var/lib/salvor/restore/db", StopSignal: "SIGINT",
		User: "999:999", Entrypoint: []string{"sh", "-c", "exec $it"}, Healthy: []string{"pg_isready"}, Slow: true}
	got, err := b.Render()
	if err != nil {
		t.Fatal(err)
	}
	want := `name: salvor-restore-app
services:
  db:
    image: postgres:16@sha256:1
    user: 999:999
    entrypoint:
      - sh
      - -c
      - exec $$it
    command: []
    network_mode: none
    stop_signal: SIGINT
    stop_grace_period: 2m
    healthcheck:
      test:
        - CMD
        - pg_isready
      interval: 1s
      timeout: 10s
      retries: 600
    cpu_shares: 64
    oom_score_adj: 900
    mem_limit: 1g
    volumes:
      - type: bind
        source: /var/lib/salvor/restore/db
        target: /var/lib/postgresql/data
        bind:
          create_host_path: false
      - {type: bind, source: ./postgresql.conf, target: /etc/p.conf, read_only: true}
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestNamesOfIsolatedProjectsAreComposes is fault D3: a project named after the relative bind
// ./pgdata was refused by Compose.
func TestNamesOfIsolatedProjectsAreComposes(t *testing.T) {
	seen := map[string]bool{}
	for _, volume := range []string{"", "db", "./pgdata", "@pgdata", "-pgdata", "App_Data", "app_data", "/srv/data", "ä"} {
		name := Isolated{Stack: "shop", Run: volume}.Name()
		if !regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`).MatchString(name) || seen[name] {
			t.Errorf("%s: %s", volume, name)
		}
		seen[name] = true
	}
}

func TestRecord(t *testing.T) {
	r := Record{Hash: "h", Dir: "/d", Images: map[string]string{"web": "w:1@sha256:1"}, Services: map[string]Expected{"web": {Running: 1, Hash: "c"}, "once": {Hash: "o"}}}
	p := project.Project{Hash: "h", Dir: "/d", Services: []project.Service{{Name: "web", Image: "w:1"}}}
	for name, tc := range map[string]struct {
		images     map[string]string
		containers []docker.Container
		covers     bool
		runs       bool
	}{
		"as it was":            {nil, []docker.Container{{Service: "web", State: "running", Hash: "c"}, {Service: "once", State: "exited", Hash: "o"}}, true, true},
		"the lock's pin":       {map[string]string{"web": "w:1@sha256:1"}, nil, true, false},
		"another pin":          {map[string]string{"web": "w:1@sha256:2"}, nil, false, false},
		"pin of another tag":   {map[string]string{"web": "w:0@sha256:2"}, nil, true, false},
		"made by somebody":     {nil, []docker.Container{{Service: "web", State: "running", Hash: "x"}}, true, false},
		"stopped":              {nil, []docker.Container{{Service: "web", State: "exited", Hash: "c"}}, true, false},
		"a run beside is none": {nil, []docker.Container{{Service: "web", State: "running", Hash: "c", OneOff: true}}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := r.Covers(Deployment{Project: p, Images: tc.images}); got != tc.covers {
				t.Errorf("covers: %v", got)
			}
			if got := r.runs(tc.containers); got != tc.runs {
				t.Errorf("runs: %v", got)
			}
		})
	}
}

func TestUncovered(t *testing.T) {
	got := Uncovered(project.Service{Mounts: []string{"/data"}}, []string{"/data", "/var/cache"})
	if diff := cmp.Diff([]string{"/var/cache"}, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzDigestOf feeds what a registry and a Compose file may say of an image.
func FuzzDigestOf(f *testing.F) {
	f.Add("a:1", "a@sha256:1")
	f.Fuzz(func(t *testing.T, ref, digest string) {
		if got := digestOf(ref, []string{digest}); got != "" && !strings.HasSuffix(digest, "@"+got) {
			t.Errorf("%q of %q has the digest %q", ref, digest, got)
		}
	})
}

// FuzzRendered feeds what reads a rendered project back.
func FuzzRendered(f *testing.F) {
	f.Add([]byte(rendered))
	f.Fuzz(func(t *testing.T, content []byte) {
		pinned, err := Pin(content, map[string]string{"db": "postgres:16@sha256:1"})
		if err != nil {
			return
		}
		if _, err := parseProject(pinned); err != nil {
			t.Errorf("pinned project does not parse: %v", err)
		}
		_, _ = Isolated{Stack: "a", Service: "db", Compose: content}.Render()
	})
}
