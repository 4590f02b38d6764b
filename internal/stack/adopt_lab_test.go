package stack_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/stack"
	"salvor/internal/stack/compose"
)

// byHand is a project that someone started on a host, with its files in Git.
type byHand struct {
	*labHost
	stack.Deployment
	adoption project.Adoption
}

const byHandCompose = `name: byhand
services:
  app:
    image: APP:1
    command: ["while true; do sleep 1; done"]
    environment: {PW: "${PW}", HERE: "$PWD"}
    env_file: app.env
    labels: {price: "5$$"}
    volumes: ["data:/data", "./files:/files", "./app.conf:/etc/app.conf:ro"]
    depends_on: [db]
  db: {image: "APP:1", command: ["while true; do sleep 1; done"], env_file: [app.env]}
  idle: {image: "APP:1", profiles: [debug]}
volumes: {data: {}}
`

// startByHand starts it with whatever Compose is there.
func (l *labHost) startByHand(t *testing.T) *byHand {
	t.Helper()
	l.clean(t, "byhand")
	files := map[string]string{"compose.yaml": strings.ReplaceAll(byHandCompose, "APP", l.app), "app.env": "QUOTED='it is $5'\n", "app.conf": "x\n"}
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
	t.Cleanup(func() { _ = l.sh2("rm -rf /run/compared /opt/notes /var/lib/salvor/stacks/notes") })
	loaded, _, err := compose.Load(t.Context(), compose.Options{RepoDir: repo, SecretKeys: []string{"PW"},
		Stack: fleet.Stack{Name: "notes", Project: "byhand", Dir: "stacks/notes", File: "compose.yaml", ProjectDir: "/opt/notes"}})
	if err != nil {
		t.Fatal(err)
	}
	b := &byHand{l, stack.Deployment{Stack: "notes", Epoch: 1, Commit: "c1", Project: loaded.Project}, *loaded.Adoption}
	if err := b.project().Call(t.Context(), b.Project); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *byHand) project() stack.Project { return stack.Named(b.Host, "notes") }

// compared has Compose compare, with a password.
func (b *byHand) compared(t *testing.T, password string) stack.Comparison {
	t.Helper()
	c, err := b.project().Compare(t.Context(), b.Deployment, b.adoption, map[string]string{"PW": password}, "/run/compared")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// testAdopt takes over what was started by hand: ids, start times and hashes stay.
func testAdopt(t *testing.T, l *labHost) {
	b := l.startByHand(t)
	running := func() string {
		return l.sh(t, `docker ps --all --no-trunc --filter label=com.docker.compose.project=byhand --quiet | xargs docker inspect --format '{{.Id}} {{.State.StartedAt}} {{index .Config.Labels "com.docker.compose.config-hash"}}'`)
	}
	before := running()
	if diff := cmp.Diff(stack.Comparison{Same: []string{"app", "db"}}, b.compared(t, "s3cret")); diff != "" {
		t.Errorf("compared (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(stack.Comparison{Same: []string{"db"}, Differs: []string{"app: environment ~PW"}, Settings: []string{"app: environment ~PW"}}, b.compared(t, "other")); diff != "" {
		t.Errorf("with another password (-want +got):\n%s", diff)
	}
	if _, err := b.project().Adopt(t.Context(), b.Deployment); err != nil {
		t.Fatal(err)
	}
	seen, err := l.Observe(t.Context(), "notes")
	if err != nil || !seen[0].Untouched(b.Deployment) || !slices.Equal(seen[0].Ungated, []string{"app", "db"}) {
		t.Errorf("seen %+v, %v", seen, err)
	}
	if after := running(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// testAdoptWithNewerCompose does it with Compose 5. Of what an older one started it finds
// the hash alone different where Compose makes another hash of the same service.
func testAdoptWithNewerCompose(t *testing.T, l *labHost) {
	b := l.startByHand(t)
	repo, err := l.around.AptRepo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const plugin = "/root/.docker/cli-plugins/docker-compose"
	t.Cleanup(func() { _ = l.sh2("rm -f " + plugin) })
	l.sh(t, `set -e; cd "$(mktemp -d)"; curl -fsS -o docker.asc `+repo.KeyURL+`; echo "deb [signed-by=$PWD/docker.asc] `+repo.URL+` bookworm stable" >docker.list; chmod -R a+rX .
		apt-get -q -o Dir::Etc::sourcelist="$PWD/docker.list" -o Dir::Etc::sourceparts=- update
		apt-get -q -o Dir::Etc::sourcelist="$PWD/docker.list" -o Dir::Etc::sourceparts=- download docker-compose-plugin
		dpkg-deb -x docker-compose-plugin*.deb x; mkdir -p "$(dirname `+plugin+`)"; cp x/usr/libexec/docker/cli-plugins/docker-compose `+plugin+`
		apt-get -q update`)
	c := b.compared(t, "s3cret")
	if !slices.Equal(c.Same, []string{"db"}) || !c.Renewed() || len(c.Differs) != 1 || !strings.Contains(c.Differs[0], "app: only Compose's hash of it") || !strings.HasSuffix(c.Differs[0], "and 5.6.0 is here now") {
		t.Errorf("started by an older one: %+v", c)
	}
	testAdopt(t, l)
}
