package stack_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/docker"
	"salvor/internal/fleet"
	"salvor/internal/inventory"
	"salvor/internal/progress"
	"salvor/internal/stack"
	"salvor/internal/stack/compose"
)

const pipedCompose = `services:
  app:
    image: APP:1
    command: ["while true; do sleep 1; done # $$HOME"]
    user: "1000:1000"
    working_dir: /data
    hostname: box
    restart: unless-stopped
    environment: {TZ: Europe/Zurich, PW: "it's $$5", "a.b": "1"}
    labels: {price: "5$$"}
    ports: ["18080:80", "127.0.0.1:18081:81/udp"]
    volumes: ["data:/data", "/cache", "/srv/piped:/files:ro,rslave"]
    tmpfs: ["/scratch:size=1m"]
    networks: {default: {aliases: [www]}, back: null}
    extra_hosts: ["nas:192.0.2.1"]
    cap_add: [NET_ADMIN]
    cap_drop: [MKNOD]
    devices: ["/dev/null:/dev/zip"]
    security_opt: ["no-new-privileges:true"]
    sysctls: {net.core.somaxconn: "1024"}
    ulimits: {nofile: {soft: 1024, hard: 2048}}
    mem_limit: 256m
    cpus: 0.5
    pids_limit: 100
    shm_size: 128m
    stop_grace_period: 1s
    logging: {driver: json-file, options: {max-size: 1m}}
    healthcheck: {test: ["CMD", "/bin/busybox", "true"], interval: 1s, timeout: 30s, retries: 5}
    depends_on: {db: {condition: service_started}}
  db: {image: "APP:1", entrypoint: ["/bin/busybox"], command: [sh, -c, "while true; do sleep 1; done"], stop_grace_period: 1s, network_mode: none}
volumes: {data: {}}
networks: {back: {internal: true}}
`

// testDraft takes over a project that came through a pipe: the draft of it is one that the
// host's Compose takes, and the containers that are made of it are as the ones before.
func testDraft(t *testing.T, l *labHost) {
	const name = "piped"
	l.clean(t, name)
	l.sh(t, "mkdir -p /srv/piped && docker compose --project-name piped --file - up --detach <<'END'\n"+strings.ReplaceAll(pipedCompose, "APP", l.app)+"END")
	l.sh(t, "for dir in data cache; do docker exec --user 0 piped-app-1 /bin/busybox touch /$dir/mine; done")
	before := l.inspected(t, name)
	d := l.drafted(t, name)
	images, err := stack.Named(l.Host, name).Running(t.Context(), d)
	if err != nil || len(images) != 2 {
		t.Fatalf("%v, %v", images, err)
	}
	if err := l.OpenGate(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	d.Images = images
	res, err := l.Deploy(t.Context(), d, progress.Discard())
	if err != nil || !slices.Equal(res.Recreated, []string{"app", "db"}) {
		t.Fatalf("%+v, %v", res, err)
	}
	if diff := cmp.Diff(before, l.inspected(t, name)); diff != "" {
		t.Errorf("made again (-before +after):\n%s", diff)
	}
	l.sh(t, "for dir in data cache; do docker exec piped-app-1 /bin/busybox ls /$dir/mine; done")
}

// drafted is the deployment of a project's draft, of which no setting that is known differs
// from what runs.
func (l *labHost) drafted(t *testing.T, name string) stack.Deployment {
	t.Helper()
	root, repo := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "srv/piped"), 0o755); err != nil {
		t.Fatal(err)
	}
	engine := docker.New(inContainer{name: l.name, calls: &l.calls})
	defer engine.Close()
	inv, err := inventory.Host{Engine: engine, Root: root}.Look(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	p := inv.Projects[slices.IndexFunc(inv.Projects, func(p agentapi.RunningProject) bool { return p.Name == name })]
	if !p.Draft || len(p.Unknown) > 0 || len(p.Files) != 2 {
		t.Fatalf("%+v", p)
	}
	for _, f := range p.Files {
		at := filepath.Join(repo, "stacks", name, strings.TrimPrefix(f.Path, strings.TrimSuffix(p.Dir, "/")))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, f.Content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	loaded, _, err := compose.Load(t.Context(), compose.Options{RepoDir: repo, Stack: fleet.Stack{Name: name, Dir: "stacks/" + name, File: "compose.yaml", Draft: true}})
	if err != nil {
		t.Fatal(err)
	}
	d := stack.Deployment{Stack: name, Epoch: 1, Commit: "c1", Project: loaded.Project}
	c, err := stack.Named(l.Host, name).Compare(t.Context(), d, *loaded.Adoption, nil, "/run/compared")
	t.Cleanup(func() { _ = l.sh2("rm -rf /run/compared") })
	if err != nil || len(c.Settings) > 0 {
		t.Fatalf("%+v, %v", c, err)
	}
	return d
}

// inspected is what the engine says of a project's containers, without what each one has of
// its own and what Salvor adds.
func (l *labHost) inspected(t *testing.T, name string) map[string]docker.Made {
	t.Helper()
	engine := docker.New(inContainer{name: l.name, calls: &l.calls})
	defer engine.Close()
	containers, err := engine.Containers(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]docker.Made{}
	for _, c := range containers {
		made, _, err := engine.Made(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		made.Config.Image = "" // by its digest now
		if strings.HasPrefix(c.ID, made.Config.Hostname) {
			made.Config.Hostname = ""
		}
		slices.Sort(made.Config.Env)
		maps.DeleteFunc(made.Config.Labels, func(key, _ string) bool {
			return strings.HasPrefix(key, "com.docker.compose.") && key != "com.docker.compose.depends_on"
		})
		made.Mounts = slices.DeleteFunc(made.Mounts, func(m docker.Mounted) bool { return m.Destination == stack.GateTarget })
		slices.SortFunc(made.Mounts, func(a, b docker.Mounted) int { return strings.Compare(a.Destination, b.Destination) })
		for network, end := range made.NetworkSettings.Networks {
			end.Aliases = slices.DeleteFunc(end.Aliases, func(alias string) bool { return strings.HasPrefix(c.ID, alias) })
			slices.Sort(end.Aliases)
			if c := end.IPAMConfig; c != nil && c.IPv4Address == "" && c.IPv6Address == "" {
				end.IPAMConfig = nil // it asks for no address either way
			}
			made.NetworkSettings.Networks[network] = end
		}
		all[c.Service] = made
	}
	return all
}
