package inventory

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"salvor/internal/agentapi"
	"salvor/internal/docker"
	"salvor/internal/machine/machinetest"
)

// engine answers as Docker's API does, with what a host runs.
func engine(t *testing.T, answers map[string]any) *docker.Engine {
	t.Helper()
	mux := http.NewServeMux()
	for at, answer := range answers {
		body, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		mux.HandleFunc(at, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	m := machinetest.NewFake()
	m.Serve("unix", "/var/run/docker.sock", func(c net.Conn) {
		defer c.Close()
		far, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			return
		}
		defer far.Close()
		go func() { _, _ = io.Copy(far, c) }()
		_, _ = io.Copy(c, far)
	})
	e := docker.New(m)
	t.Cleanup(e.Close)
	return e
}

// write makes files below root.
func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		at := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

type object map[string]any

// container is one as GET /containers/json lists it.
func container(name, project, service, dir, files string, mounts ...object) object {
	return object{
		"Id": name, "Names": []string{"/" + name}, "Image": service + ":1", "ImageID": "sha256:" + service, "State": "running", "Created": 1760000000,
		"Labels": map[string]string{
			"com.docker.compose.project": project, "com.docker.compose.service": service, "com.docker.compose.config-hash": "hash-" + name,
			"com.docker.compose.project.working_dir": dir, "com.docker.compose.project.config_files": files,
		},
		"Mounts": mounts, "NetworkSettings": object{"Networks": object{project + "_default": object{}, "proxy": object{}}},
	}
}

func bind(source, target string, writable bool) object {
	return object{"Type": "bind", "Source": source, "Destination": target, "RW": writable}
}

func volume(name, target string) object {
	return object{"Type": "volume", "Name": name, "Source": "/var/lib/docker/volumes/" + name + "/_data", "Destination": target, "RW": true}
}

func host(t *testing.T, root string, containers ...object) Host {
	t.Helper()
	return Host{Root: root, Own: map[string]struct{}{"own": {}}, Engine: engine(t, map[string]any{
		"/containers/json":      containers,
		"/containers/{id}/json": object{"Image": "sha256:web", "Config": object{"Image": "web:1"}},
		"/volumes": object{"Volumes": []object{
			{"Name": "notes_db", "Driver": "local", "Mountpoint": "/var/lib/docker/volumes/notes_db/_data"},
			{"Name": "left", "Driver": "local", "Mountpoint": "/var/lib/docker/volumes/left/_data"},
		}},
		"/networks": []object{{"Name": "proxy"}, {"Name": "bridge"}, {"Name": "notes_default", "Labels": object{"com.docker.compose.project": "notes"}}},
		"/info":     object{"Swarm": object{"LocalNodeState": "inactive"}},
		"/images/":  object{"RepoDigests": []string{"web@sha256:" + strings.Repeat("0", 64)}},
	})}
}

// TestAProjectIsFoundWithItsFilesAndData: what makes the project is read, its data is
// measured and left.
func TestAProjectIsFoundWithItsFilesAndData(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{
		"/opt/notes/compose.yaml":                     "include: [more.yaml]\nservices:\n  web:\n    image: web:1\n    env_file: [web.env]\n    build: ./build\nsecrets:\n  token: {file: ./token.txt}\n",
		"/opt/notes/more.yaml":                        "services: {}\n",
		"/opt/notes/web.env":                          "A=1\n",
		"/opt/notes/.env":                             "B=2\n",
		"/opt/notes/token.txt":                        "t",
		"/opt/notes/build/Dockerfile":                 "FROM scratch\n",
		"/opt/notes/nginx.conf":                       "events {}\n",
		"/opt/notes/data/db":                          "12345",
		"/opt/notes/unused.txt":                       "not read",
		"/opt/notes/acme.json":                        "{\"live\": true}",
		"/var/lib/docker/volumes/notes_db/_data/base": "123",
		"/var/lib/docker/volumes/left/_data/old":      "1234567",
		"/etc/cron.d/backup":                          "",
		"/etc/cron.d/e2scrub_all":                     "",
	})
	h := host(t, root, container("notes-web-1", "notes", "web", "/opt/notes", "/opt/notes/compose.yaml",
		bind("/opt/notes/nginx.conf", "/etc/nginx/nginx.conf", false), bind("/opt/notes/acme.json", "/acme.json", true), bind("/opt/notes/data", "/data", true), volume("notes_db", "/db")),
		container("salvor-restore-notes-db-db-1", "salvor-restore-notes-db", "db", "/opt/notes", "/var/lib/salvor/restore/compose.yaml"), // Salvor's, left by a snapshot that was killed
		object{"Id": "x", "Names": []string{"/lone"}, "Image": "redis", "State": "exited", "Mounts": []object{bind("/opt/notes/data", "/d", true)}})
	got, err := h.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Projects) != 1 {
		t.Fatalf("%+v", got)
	}
	p := got.Projects[0]
	kinds := map[string]agentapi.FileKind{}
	for _, f := range p.Files {
		kinds[strings.TrimPrefix(f.Path, "/opt/notes/")] = f.Kind
	}
	want := map[string]agentapi.FileKind{"compose.yaml": "compose", "more.yaml": "compose", "web.env": "env", ".env": "env", "token.txt": "secret", "build/Dockerfile": "file", "nginx.conf": "file"}
	if diff := cmp.Diff(want, kinds); diff != "" || p.Incomplete != "" {
		t.Errorf("files (-want +got) %s; %s", diff, p.Incomplete)
	}
	mounts := []agentapi.FoundMount{
		{Source: "/opt/notes/acme.json", Services: []string{"web"}, Targets: []string{"/acme.json"}, Found: agentapi.Found{Bytes: 14, Files: 1}},
		{Source: "/opt/notes/data", Services: []string{"web"}, Targets: []string{"/data"}, Found: agentapi.Found{Folder: true, Bytes: 5, Files: 1}},
		{Source: "/opt/notes/nginx.conf", Services: []string{"web"}, Targets: []string{"/etc/nginx/nginx.conf"}, ReadOnly: true, Found: agentapi.Found{Bytes: 10, Files: 1}},
		{Volume: "notes_db", Source: "/var/lib/docker/volumes/notes_db/_data", Services: []string{"web"}, Targets: []string{"/db"}, Found: agentapi.Found{Folder: true, Bytes: 3, Files: 1}},
	}
	if diff := cmp.Diff(mounts, p.Mounts, cmpopts.IgnoreFields(agentapi.Found{}, "Owner"), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if s := p.Services[0]; s.Running != 1 || s.Hashes[0] != "hash-notes-web-1" || !strings.Contains(s.Digest, "@sha256:") || !cmp.Equal(p.Networks, []string{"proxy"}) {
		t.Errorf("%+v %v", s, p.Networks)
	}
	if !cmp.Equal(got.Crontabs, []string{"/etc/cron.d/backup"}) || len(got.Volumes) != 1 || got.Volumes[0].Bytes != 7 || len(got.Containers) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestLabelsReachNoOtherFiles: an image may carry any label, so no label has a file read
// that is not the project's.
func TestLabelsReachNoOtherFiles(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{
		"/etc/shadow": "root:secret", "/root/.ssh/id_ed25519": "key", "/opt/x/compose.yaml": "services:\n  a:\n    env_file: /etc/shadow\n    build: /root/.ssh\nconfigs:\n  a: {file: ../../etc/shadow}\n  b: {file: link}\n",
	})
	if err := os.Symlink(root+"/etc/shadow", root+"/opt/x/link"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]object{
		"a file of the system as a Compose file": container("c", "x", "a", "/opt/x", "/etc/shadow"),
		"a folder of the system":                 container("c", "x", "a", "/etc", "/etc/shadow"),
		"references":                             container("c", "x", "a", "/opt/x", "/opt/x/compose.yaml", bind("/root/.ssh", "/ssh", false), bind("/opt/x/link", "/l", false)),
		"no folder":                              container("c", "x", "a", "", ""),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := host(t, root, c).Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range got.Projects[0].Files {
				if strings.Contains(string(f.Content), "secret") || strings.Contains(string(f.Content), "key") {
					t.Errorf("%s was read", f.Path)
				}
			}
			if name != "references" && got.Projects[0].Incomplete == "" {
				t.Error("it is not called incomplete")
			}
		})
	}
}

// TestAComposeFileFromAPipe: `docker compose -f -` leaves no file, and the reason says so.
func TestAComposeFileFromAPipe(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"/opt/x/app.yaml.tpl": "services: {}\n"})
	got, err := host(t, root, container("c", "x", "a", "/opt/x", "-")).Look(t.Context())
	if want := "its Compose file came through a pipe (docker compose -f -), so the host has none"; err != nil || got.Projects[0].Incomplete != want {
		t.Errorf("%v, %+v", err, got.Projects)
	}
}

// TestOwnAndUnwantedProjectsAreNotRead: their containers are listed, their files stay.
func TestOwnAndUnwantedProjectsAreNotRead(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"/opt/own/compose.yaml": "services: {}\n", "/opt/a/compose.yaml": "services: {}\n", "/opt/b/compose.yaml": "services: {}\n"})
	h := host(t, root, container("o", "own", "s", "/opt/own", "/opt/own/compose.yaml"), container("a", "a", "s", "/opt/a", "/opt/a/compose.yaml"), container("b", "b", "s", "/opt/b", "/opt/b/compose.yaml"))
	got, err := h.Look(t.Context(), "b", "own")
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]int{}
	for _, p := range got.Projects {
		read[p.Name] = len(p.Files)
	}
	if diff := cmp.Diff(map[string]int{"a": 0, "b": 1, "own": 0}, read); diff != "" {
		t.Error(diff)
	}
}
