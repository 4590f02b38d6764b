package inventory

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
)

// image is a container of no project that runs one.
func image(image string, mounts ...object) object {
	return object{"Id": image, "Names": []string{"/" + image}, "Image": image, "State": "running", "Mounts": mounts}
}

// TestManagersAreKnownByTheirFolders: what they declare is found, also what does not run.
func TestManagersAreKnownByTheirFolders(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{
		"/opt/stacks/notes/compose.yaml":          "services: {}\n",
		"/opt/stacks/Old Wiki/docker-compose.yml": "services: {}\n",
		"/opt/stacks/empty/README.md":             "",
		"/etc/komodo/stacks/photos/compose.yaml":  "services: {}\n",
		"/etc/komodo/repos/fleet/resources.toml":  "[[stack]]\nname = \"photos\"\n[stack.config]\nserver = \"alpha\"\n\n[[stack]]\nname = \"db\"\nconfig.project_name = \"Data.Base\"\nconfig.environment = \"\"\"\nA = \\d\n\"\"\"\n\n[[server]]\nname = \"alpha\"\n",
		"/etc/komodo/repos/app/pyproject.toml":    "[project]\nname = \"x\"\n",
		"/etc/komodo/repos/app/broken.toml":       "[[stack\n",
		"/etc/komodo/repos/.git/config.toml":      "[[stack]]\nname = \"hidden\"\n",
	})
	h := host(t, root,
		image("louislam/dockge:1", bind("/opt/dockge/data", "/app/data", true), bind("/var/run/docker.sock", "/var/run/docker.sock", true), bind("/opt/stacks", "/opt/stacks", true)),
		image("ghcr.io/moghtech/komodo-periphery:2", bind("/var/run/docker.sock", "/var/run/docker.sock", true), bind("/proc", "/proc", true), bind("/etc/komodo", "/etc/komodo", true)),
		image("ghcr.io/moghtech/komodo-core:2", volume("komodo_repo-cache", "/repo-cache")),
		image("portainer/portainer-ce:lts", volume("portainer_data", "/data")),
		image("nginx:1", bind("/srv/www", "/data", false)))
	got, err := h.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []agentapi.Manager{
		{Name: "dockge", Folder: "/opt/stacks", Stacks: []agentapi.ManagedStack{{Name: "Old Wiki", Project: "old_wiki"}, {Name: "notes", Project: "notes"}}},
		{Name: "komodo", Folder: "/etc/komodo", Stacks: []agentapi.ManagedStack{{Name: "db", Project: "data_base"}, {Name: "photos", Project: "photos"}}},
		{Name: "portainer", Folder: "/var/lib/docker/volumes/portainer_data/_data"},
	}
	if diff := cmp.Diff(want, got.Managers); diff != "" {
		t.Error(diff)
	}
}

// TestAProjectOfAManagersContainer has its files where the container has them on the host,
// and keeps the names by which Compose knew them.
func TestAProjectOfAManagersContainer(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{
		"/var/lib/docker/volumes/portainer_data/_data/compose/3/docker-compose.yml": "services:\n  web: {image: 'web:1', env_file: stack.env}\n",
		"/var/lib/docker/volumes/portainer_data/_data/compose/3/stack.env":          "A=1\n",
		"/srv/other/compose/4/compose.yaml":                                         "services: {}\n",
	})
	h := host(t, root, image("portainer/portainer-ce:lts", volume("portainer_data", "/data")), image("nginx:1", bind("/srv/other", "/data", true)),
		container("web-1", "web", "web", "/data/compose/3", "/data/compose/3/docker-compose.yml"), container("x-1", "x", "x", "/data/compose/4", "/data/compose/4/compose.yaml"))
	got, err := h.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, f := range got.Projects[0].Files {
		files = append(files, f.Path)
	}
	if diff := cmp.Diff([]string{"/data/compose/3/docker-compose.yml", "/data/compose/3/stack.env"}, files); diff != "" || got.Projects[0].Incomplete != "" {
		t.Errorf("%s %s", diff, got.Projects[0].Incomplete)
	}
	if got.Projects[1].Incomplete == "" {
		t.Error("the folder of a container that is not a manager was read")
	}
}

// TestARelativeBindOfAManagersProject: Docker makes a folder of the project's on the host, for
// the data alone; the files are in the manager's.
func TestARelativeBindOfAManagersProject(t *testing.T) {
	root := t.TempDir()
	const compose = "/data/compose/2/docker-compose.yml"
	write(t, root, map[string]string{
		"/var/lib/docker/volumes/portainer_data/_data" + compose[len("/data"):]: "services:\n  web: {image: 'web:1', volumes: ['./data:/d']}\n",
		"/data/compose/2/data/kept": "12345",
	})
	got, err := host(t, root, image("portainer/portainer-ce:lts", volume("portainer_data", "/data")),
		container("web-1", "web", "web", "/data/compose/2", compose, bind("/data/compose/2/data", "/d", true))).Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := got.Projects[0]
	if len(p.Files) != 1 || p.Files[0].Path != compose || p.Incomplete != "" || p.Draft {
		t.Errorf("%+v, %s", p.Files, p.Incomplete)
	}
	if m := p.Mounts[0]; m.Source != "/data/compose/2/data" || m.Bytes != 5 {
		t.Errorf("its data: %+v", m)
	}
}

// TestDockgesEnvFileForAll: the one file outside of a project's folder that is read is the
// global.env that Dockge gives to its stacks; no other file that a label names is.
func TestDockgesEnvFileForAll(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{
		"/opt/stacks/global.env": "TZ=UTC\n", "/opt/stacks/feeds/compose.yaml": "services: {}\n", "/opt/stacks/feeds/.env": "A=1\n", "/opt/stacks/other/.env": "B=2\n",
	})
	dockge := container("dockge-dockge-1", "dockge", "dockge", "/opt/dockge", "/opt/dockge/compose.yaml", bind("/opt/stacks", "/opt/stacks", true))
	dockge["Image"] = "louislam/dockge:1"
	feeds := container("feeds-web-1", "feeds", "web", "/opt/stacks/feeds", "/opt/stacks/feeds/compose.yaml")
	feeds["Labels"].(map[string]string)["com.docker.compose.project.environment_file"] = "/opt/stacks/global.env,/opt/stacks/feeds/.env,/opt/stacks/other/.env"
	got, err := host(t, root, dockge, feeds).Look(t.Context(), "feeds")
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]string{}
	for _, p := range got.Projects {
		for _, f := range p.Files {
			read[f.Path] = string(f.Content)
		}
	}
	want := map[string]string{"/opt/stacks/global.env": "TZ=UTC\n", "/opt/stacks/feeds/.env": "A=1\n", "/opt/stacks/feeds/compose.yaml": "services: {}\n", "/opt/stacks/other/.env": ""}
	if diff := cmp.Diff(want, read); diff != "" {
		t.Error(diff)
	}
}
