package adopt

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/scan"
)

// running is a project in /opt/NAME with files below it.
func running(name string, compose []string, files map[string]string) agentapi.RunningProject {
	p := agentapi.RunningProject{Name: name, Dir: "/opt/" + name, Services: []agentapi.RunningService{{Name: "web", Image: "web:1", Running: 1}}}
	for _, c := range compose {
		p.Compose = append(p.Compose, p.Dir+"/"+c)
	}
	for file, content := range files {
		kind := agentapi.FilePlain
		switch {
		case strings.HasSuffix(file, ".yaml") || strings.HasSuffix(file, ".yml"):
			kind = agentapi.FileCompose
		case strings.HasSuffix(file, ".env"):
			kind = agentapi.FileEnv
		}
		at := p.Dir + "/" + file
		if strings.HasPrefix(file, "/") {
			at = file
		}
		p.Files = append(p.Files, agentapi.FoundFile{Path: at, Kind: kind, Content: []byte(content)})
	}
	return p
}

const plain = "services:\n  web: {image: 'web:1'}\n"

func TestWhatCanBeAStack(t *testing.T) {
	envFile := running("notes", []string{"compose.yaml"}, map[string]string{"compose.yaml": plain})
	envFile.EnvFiles = []string{"/etc/notes.env"}
	large := running("notes", []string{"compose.yaml"}, map[string]string{"compose.yaml": plain})
	large.Files = append(large.Files, agentapi.FoundFile{Path: "/opt/notes/big.bin", Kind: agentapi.FilePlain, Left: "3.0 MiB"})
	for name, c := range map[string]struct {
		p       agentapi.RunningProject
		compose string // "" for one that can't
		why     string
	}{
		"compose.yaml":           {running("notes", []string{"compose.yaml"}, map[string]string{"compose.yaml": plain}), "compose.yaml", ""},
		"docker-compose.yml":     {running("notes", []string{"docker-compose.yml"}, map[string]string{"docker-compose.yml": plain}), "docker-compose.yml", ""},
		"with its override":      {running("notes", []string{"compose.yml", "compose.override.yml"}, map[string]string{"compose.yml": plain, "compose.override.yml": plain}), "compose.yml", ""},
		"another name":           {running("notes", []string{"stack.yml"}, map[string]string{"stack.yml": plain}), "compose.yaml", ""},
		"another name, and that": {running("notes", []string{"stack.yml"}, map[string]string{"stack.yml": plain, "compose.yaml": plain}), "", "there is a compose.yaml, too"},
		"several":                {running("notes", []string{"a.yml", "b.yml"}, map[string]string{"a.yml": plain, "b.yml": plain}), "", "it was made from a.yml, b.yml"},
		"a file elsewhere":       {running("notes", []string{"compose.yaml"}, map[string]string{"compose.yaml": plain, "/opt/common.yml": plain}), "", "/opt/common.yml is outside of its folder /opt/notes"},
		"--env-file":             {envFile, "", "it was started with --env-file /etc/notes.env"},
		"a template":             {running("notes", []string{"compose.yaml"}, map[string]string{"compose.yaml": "services:\n  {% for s in all %}\n"}), "", "compose.yaml can't be read"},
		"not Compose":            {running("notes", []string{"compose.yaml"}, map[string]string{"compose.yaml": "a: 1\n"}), "", "it has no services"},
		"Salvor's":               {running("notes", []string{"compose.yaml"}, map[string]string{"compose.yaml": "x-salvor: {host: beta}\n" + plain}), "", "it has an x-salvor already"},
		"a name of Git's":        {running("notes", []string{".git/app.yml"}, map[string]string{".git/app.yml": plain}), "", "its Compose file .git/app.yml can't be taken"},
		"a name like Git's":      {running("notes", []string{".gitea.yml"}, map[string]string{".gitea.yml": plain}), "compose.yaml", ""},
		"a file that lacks":      {running("notes", []string{"stack.yml"}, nil), "", "its Compose file stack.yml can't be taken"},
		"a large file":           {large, "compose.yaml", ""},
		"no file":                {agentapi.RunningProject{Name: "notes", Incomplete: "/opt/notes is not there"}, "", "/opt/notes is not there"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Candidates(agentapi.Inventory{Projects: []agentapi.RunningProject{c.p}}, &fleet.Fleet{}, "alpha")[0]
			if c.why == "" != (got.Why == "") || !strings.Contains(got.Why, c.why) || got.Why != "" && got.Hint == "" {
				t.Fatalf("why %q, hint %q", got.Why, got.Hint)
			}
			if got.Why == "" && (got.Compose != c.compose || !strings.HasSuffix(string(got.Files[c.compose]), plain)) {
				t.Errorf("%s: %s", got.Compose, got.Files[got.Compose])
			}
		})
	}
}

// TestXSalvorComesInFront: all that the file has stays, behind a document's start.
func TestXSalvorComesInFront(t *testing.T) {
	for before, want := range map[string]string{
		plain:                           "x-salvor:\n  host: alpha\n  dir: /opt/a b\n  project: a_b\n\n" + plain,
		"# mine\n---\n" + plain:         "# mine\n---\nx-salvor:\n  host: alpha\n  dir: /opt/a b\n  project: a_b\n\n" + plain,
		"{services: {web: {image: a}}}": "",
	} {
		c := Candidate{Stack: "a-b", Project: agentapi.RunningProject{Name: "a_b", Dir: "/opt/a b"}}
		got, err := withStack([]byte(before), c.settings("alpha"))
		if (want == "") != (err != nil) || cmp.Diff(want, string(got)) != "" && err == nil {
			t.Errorf("%q: %v\n%s", before, err, got)
		}
	}
}

func TestNamesAreTheProjects(t *testing.T) {
	inv := agentapi.Inventory{Projects: []agentapi.RunningProject{{Name: "traefik"}, {Name: "own", Own: true}, {Name: "notes"}}}
	f := &fleet.Fleet{Stacks: []fleet.Stack{{Name: "traefik", Dir: "stacks/traefik"}, {Name: "traefik-alpha", Dir: "stacks/traefik-alpha"}}}
	var got []string
	for _, c := range Candidates(inv, f, "alpha") {
		got = append(got, c.Stack)
	}
	if diff := cmp.Diff([]string{"traefik-alpha-2", "notes"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheScoreCountsWhatOnlyTheHostHas(t *testing.T) {
	scanner, err := scan.New()
	if err != nil {
		t.Fatal(err)
	}
	p := running("notes", nil, map[string]string{".env": "TZ=UTC\nPORT=8080\n", "db.env": "DB_PASSWORD=hunter2\n", "compose.yaml": "services: {db: {environment: {POSTGRES_PASSWORD: hunter2}}}\n", "app.conf": "password = Xk29fLq8vZr4Tn\n", "compose.override.yaml": plain, ".env.example": "PASSWORD=changeme\n"})
	p.Services = append(p.Services, agentapi.RunningService{Name: "db", Image: "docker.io/library/postgres:17"})
	p.Mounts = []agentapi.FoundMount{
		{Source: "/opt/notes/small", Found: agentapi.Found{Folder: true, Bytes: 1 << 20}},
		{Source: "/srv/large", Found: agentapi.Found{Folder: true, Bytes: 1 << 30, More: true}},
		{Source: "/opt/notes/conf", ReadOnly: true, Found: agentapi.Found{Bytes: 10}},
		{Source: "/var/run/docker.sock"},
	}
	want := Score{Bytes: 1<<30 + 1<<20, More: true, Places: []string{"/srv/large", "/opt/notes/small"}, Databases: []string{"db"}, Secrets: 3}
	if diff := cmp.Diff(want, ScoreOf(scanner, p)); diff != "" {
		t.Error(diff)
	}
}

// TestFoldersOfAForge are files of the project like any other; what Git itself obeys is not.
func TestFoldersOfAForge(t *testing.T) {
	p := running("notes", []string{"compose.yaml"}, map[string]string{"compose.yaml": plain, ".github/workflows/build.txt": "a", ".gitea/template": "b", "app/.gitignore": "dist", "app/.gitkeep": "",
		"app/.git/config": "c", ".gitattributes": "* text", "app/.gitmodules": "d", ".ssh/id": "e"})
	c := Candidates(agentapi.Inventory{Projects: []agentapi.RunningProject{p}}, &fleet.Fleet{}, "alpha")[0]
	if diff := cmp.Diff([]string{".gitea/template", ".github/workflows/build.txt", "app/.gitignore", "app/.gitkeep", "compose.yaml"}, slices.Sorted(maps.Keys(c.Files))); diff != "" || len(c.Left) != 4 {
		t.Errorf("%s, left %q", diff, c.Left)
	}
}

// TestDockgesEnvFileForAll comes before the stack's own: of a name in both, the last counts.
func TestDockgesEnvFileForAll(t *testing.T) {
	p := running("feeds", []string{"compose.yaml"}, map[string]string{"compose.yaml": plain, ".env": "PORT=2", "/opt/global.env": "PORT=1\nTZ=UTC"})
	p.EnvFiles = []string{"/opt/global.env", "/opt/feeds/.env"}
	c := Candidates(agentapi.Inventory{Projects: []agentapi.RunningProject{p}}, &fleet.Fleet{}, "alpha")[0]
	if diff := cmp.Diff(map[string][]byte{".env": []byte("PORT=1\nTZ=UTC\nPORT=2\n")}, c.Secret); diff != "" || c.Why != "" {
		t.Errorf("%s, %s", diff, c.Why)
	}
}
