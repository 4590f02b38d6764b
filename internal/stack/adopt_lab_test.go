package stack_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"salvor/internal/fleet"
	"salvor/internal/stack"
	"salvor/internal/stack/compose"
)

// testAdopt starts a project by hand and takes it over: ids, start times and hashes stay.
func testAdopt(t *testing.T, l *labHost) {
	const name = "byhand"
	l.clean(t, name)
	files := map[string]string{
		"compose.yaml": `name: ` + name + `
services:
  app:
    image: ` + l.app + `:1
    command: ["while true; do sleep 1; done"]
    environment: {PW: "${PW}", HERE: "$PWD"}
    env_file: app.env
    labels: {price: "5$$"}
    volumes: ["data:/data", "./files:/files", "./app.conf:/etc/app.conf:ro"]
    depends_on: [db]
  db: {image: "` + l.app + `:1", command: ["while true; do sleep 1; done"], env_file: [app.env]}
  idle: {image: "` + l.app + `:1", profiles: [debug]}
volumes: {data: {}}
`, "app.env": "QUOTED='it is $5'\n", "app.conf": "x\n",
	}
	repo := t.TempDir()
	dir := filepath.Join(repo, "stacks", "notes")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, content := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		l.sh(t, "mkdir -p /opt/notes && cat >/opt/notes/"+file+" <<'END'\n"+content+"END")
	}
	l.sh(t, "echo PW=s3cret >/opt/notes/.env && cd /opt/notes && docker compose up --detach")
	running := func() string {
		return l.sh(t, `docker ps --all --no-trunc --filter label=com.docker.compose.project=`+name+` --quiet | xargs docker inspect --format '{{.Id}} {{.State.StartedAt}} {{index .Config.Labels "com.docker.compose.config-hash"}}'`)
	}
	before := running()
	loaded, _, err := compose.Load(t.Context(), compose.Options{RepoDir: repo, SecretKeys: []string{"PW"},
		Stack: fleet.Stack{Name: "notes", Project: name, Dir: "stacks/notes", File: "compose.yaml", ProjectDir: "/opt/notes"}})
	if err != nil {
		t.Fatal(err)
	}
	d := stack.Deployment{Stack: "notes", Epoch: 1, Commit: "c1", Project: loaded.Project}
	p := stack.Named(l.Host, "notes")
	if err := p.Call(t.Context(), d.Project); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.sh2("rm -rf /run/compared /opt/notes /var/lib/salvor/stacks/notes") })
	compared, err := p.Compare(t.Context(), d, *loaded.Adoption, map[string]string{"PW": "s3cret"}, "/run/compared")
	if err != nil || !slices.Equal(compared.Same, []string{"app", "db"}) || len(compared.Differs) > 0 {
		t.Errorf("compared %+v, %v", compared, err)
	}
	other, err := p.Compare(t.Context(), d, *loaded.Adoption, map[string]string{"PW": "other"}, "/run/compared")
	if err != nil || !slices.Equal(other.Differs, []string{"app: environment ~PW"}) {
		t.Errorf("with another password: %+v, %v", other, err)
	}
	if _, err := p.Adopt(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	seen, err := l.Observe(t.Context(), "notes")
	if err != nil || !seen[0].Untouched(d) || !slices.Equal(seen[0].Ungated, []string{"app", "db"}) {
		t.Errorf("seen %+v, %v", seen, err)
	}
	if after := running(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}
