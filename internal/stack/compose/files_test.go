package compose

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/stack"
)

// stackOf writes a stack "app" and returns how it is loaded.
func stackOf(t *testing.T, files map[string]string) Options {
	t.Helper()
	dir := t.TempDir()
	writeStack(t, dir, files)
	return Options{RepoDir: dir, Stack: fleet.Stack{Name: "app", Dir: "stacks/app", File: "compose.yaml"}}
}

func writeStack(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(dir, "stacks/app", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// running returns the services that a project starts, and its findings.
func running(t *testing.T, opts Options) (services []string, found []finding.Finding, loaded *project.Rendered) {
	t.Helper()
	loaded, found, err := Load(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range loaded.Project.Services {
		if !s.Idle {
			services = append(services, s.Name)
		}
	}
	return services, found, loaded
}

func one(name string) string { return "services: {" + name + ": {image: nginx}}\n" }

// TestFilesThatComposeMerges is issue 10, C.11, cases 03 and 04: override files and
// COMPOSE_FILE were ignored, and with them 17 of 38 services of a real project.
func TestFilesThatComposeMerges(t *testing.T) {
	base := one("web")
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"nothing beside":               {map[string]string{"compose.yaml": base}, []string{"web"}},
		"compose.override.yaml":        {map[string]string{"compose.yaml": base, "compose.override.yaml": one("over")}, []string{"over", "web"}},
		"compose.override.yml":         {map[string]string{"compose.yaml": base, "compose.override.yml": one("over")}, []string{"over", "web"}},
		"docker-compose.override.yml":  {map[string]string{"compose.yaml": base, "docker-compose.override.yml": one("over")}, []string{"over", "web"}},
		"docker-compose.override.yaml": {map[string]string{"compose.yaml": base, "docker-compose.override.yaml": one("over")}, []string{"over", "web"}},
		"the first of two overrides":   {map[string]string{"compose.yaml": base, "compose.override.yaml": one("second"), "compose.override.yml": one("first")}, []string{"first", "web"}},
		"COMPOSE_FILE in stack.env":    {map[string]string{"compose.yaml": base, "db.yaml": one("db"), "stack.env": "COMPOSE_FILE=compose.yaml:db.yaml\n"}, []string{"db", "web"}},
		"COMPOSE_FILE in a .env":       {map[string]string{"compose.yaml": base, "db.yaml": one("db"), ".env": "COMPOSE_FILE=compose.yaml:db.yaml\n"}, []string{"db", "web"}},
		"it hides the override":        {map[string]string{"compose.yaml": base, "compose.override.yaml": one("over"), "stack.env": "COMPOSE_FILE=compose.yaml\n"}, []string{"web"}},
		"another separator":            {map[string]string{"compose.yaml": base, "db.yaml": one("db"), "stack.env": "COMPOSE_PATH_SEPARATOR=,\nCOMPOSE_FILE=compose.yaml,db.yaml\n"}, []string{"db", "web"}},
		"a file of another folder":     {map[string]string{"compose.yaml": base, "../common/log.yaml": one("log"), "stack.env": "COMPOSE_FILE=compose.yaml:../common/log.yaml\n"}, []string{"log", "web"}},
		"profiles":                     {map[string]string{"compose.yaml": "services: {web: {image: nginx}, a: {image: nginx, profiles: [x]}, b: {image: nginx, profiles: [y]}}\n", "stack.env": "COMPOSE_PROFILES=z, x\n"}, []string{"a", "web"}},
		"an override that includes":    {map[string]string{"compose.yaml": base, "compose.override.yaml": "include: [more.yaml]\n", "more.yaml": one("more")}, []string{"more", "web"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, found, _ := running(t, stackOf(t, c.files))
			if diff := cmp.Diff(c.want, got); diff != "" || finding.AnyFatal(found) {
				t.Errorf("(-want +got)\n%s%v", diff, found)
			}
		})
	}
}

// TestFilesThatComposeIgnores: of two files with names that Compose looks for it takes the
// first, and says so.
func TestFilesThatComposeIgnores(t *testing.T) {
	base := one("web")
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
		found string // file, text and fix
	}{
		"two Compose files": {map[string]string{"compose.yaml": base, "docker-compose.yml": one("old")}, []string{"web"},
			"docker-compose.yml: it is not used: Compose takes compose.yaml, which comes before it (remove it, or write COMPOSE_FILE=compose.yaml:docker-compose.yml into stacks/app/stack.env)"},
		"two overrides": {map[string]string{"compose.yaml": base, "compose.override.yaml": one("second"), "docker-compose.override.yml": one("third")}, []string{"second", "web"},
			"docker-compose.override.yml: it is not used: Compose takes compose.override.yaml, which comes before it (remove it, or write COMPOSE_FILE=compose.yaml:compose.override.yaml:docker-compose.override.yml into stacks/app/stack.env)"},
		"one that is included": {map[string]string{"compose.yaml": "include: [docker-compose.yml]\n" + base, "docker-compose.yml": one("old")}, []string{"old", "web"}, ""},
		"COMPOSE_FILE":         {map[string]string{"compose.yaml": base, "docker-compose.yml": one("old"), "stack.env": "COMPOSE_FILE=docker-compose.yml\n"}, []string{"old"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, found, _ := running(t, stackOf(t, c.files))
			said := ""
			for _, f := range found {
				if f.Code != finding.FileUnused || f.Severity != finding.Warning {
					t.Errorf("found %+v", f)
				}
				said += strings.TrimPrefix(f.Subject, "stacks/app/") + ": " + f.Text + " (" + f.Fix + ")"
			}
			if diff := cmp.Diff(c.want, got); diff != "" || said != c.found {
				t.Errorf("(-want +got)\n%s%s", diff, said)
			}
		})
	}
}

// TestOverrideMerges: of one service each file says a part, and messages name the
// file that says it.
func TestOverrideMerges(t *testing.T) {
	opts := stackOf(t, map[string]string{"compose.yaml": one("web"), "compose.override.yaml": "services:\n  web:\n    volumes: [\"/srv/x:/x\"]\n    ports: [\"8000:80\"]\n"})
	_, found, loaded := running(t, opts)
	if ports := loaded.Project.Services[0].Ports; len(ports) != 1 || ports[0].Published != "8000" {
		t.Errorf("ports %v", ports)
	}
	if len(found) != 1 || !strings.HasPrefix(found[0].Subject, "stacks/app/compose.override.yaml:3:") {
		t.Errorf("found %v", found)
	}
}

// TestComposeFileIsRefused: what COMPOSE_FILE names must be in Git.
func TestComposeFileIsRefused(t *testing.T) {
	for listed, want := range map[string]string{
		"compose.yaml:gone.yaml":     "COMPOSE_FILE names stacks/app/gone.yaml, which is not in Git",
		"compose.yaml:/etc/x.yaml":   "COMPOSE_FILE names /etc/x.yaml, which is outside of the repository",
		"../../../x.yaml":            "COMPOSE_FILE names ../../../x.yaml, which is outside of the repository",
		"sub/base.yaml:compose.yaml": "COMPOSE_FILE begins with stacks/app/sub/base.yaml, and Compose would read every path relative to its folder",
	} {
		opts := stackOf(t, map[string]string{"compose.yaml": one("web"), "sub/base.yaml": one("x"), "stack.env": "COMPOSE_FILE=" + listed + "\n"})
		if _, _, err := Load(t.Context(), opts); err == nil || err.Error() != "stacks/app/stack.env:1:1: "+want || fault.Hint(err) == "" {
			t.Errorf("%s: %v", listed, err)
		}
	}
}

// TestPwdIsTheProjectsFolder is issue 10, C.11, case 14: a mount of ${PWD}/db was
// /db of the host.
func TestPwdIsTheProjectsFolder(t *testing.T) {
	opts := stackOf(t, map[string]string{
		"compose.yaml": `services:
  db:
    image: postgres:17
    env_file: ["${PWD}/db.env"]
    environment: {HERE: "$PWD"}
    volumes: ["${PWD}/db:/var/lib/postgresql/data", "$PWD/pg.conf:/etc/pg.conf:ro", "${PWD}:/all:ro"]
  built: {build: "${PWD}/image"}
`, "db.env": "A=1\n", "pg.conf": "x\n", "image/Dockerfile": "FROM scratch\n",
	})
	_, found, loaded := running(t, opts)
	if finding.AnyFatal(found) {
		t.Errorf("found %v", found)
	}
	if len(loaded.Volumes) != 1 || loaded.Volumes[0].Source != "./db" || loaded.Volumes[0].Protect != fleet.Snapshot {
		t.Errorf("volumes %+v", loaded.Volumes)
	}
	for _, want := range []string{"HERE: /var/lib/salvor/stacks/app", "source: ./pg.conf", `A: "1"`} {
		if !strings.Contains(string(loaded.Project.Compose), want) {
			t.Errorf("lacks %s:\n%s", want, loaded.Project.Compose)
		}
	}
}

// TestNothingIsWrittenIntoTheUsersFolder is issue 14, 2: the rendered file and the files
// from Git are in Salvor's folder, and only data stays in the user's.
func TestNothingIsWrittenIntoTheUsersFolder(t *testing.T) {
	opts := stackOf(t, map[string]string{
		"compose.yaml": `services:
  db:
    image: postgres:17
    environment: {HERE: "$PWD"}
    volumes: ["./db:/data", "/srv/app/more:/more", "./pg.conf:/etc/pg.conf:ro", "/srv/app/conf:/etc/conf.d:ro", "./only-there.conf:/x.conf"]
`, "pg.conf": "x\n", "conf/a": "1\n",
	})
	opts.Stack.ProjectDir = "/srv/app"
	_, found, loaded := running(t, opts)
	if finding.AnyFatal(found) || loaded.Project.Dir != "/var/lib/salvor/stacks/app" {
		t.Errorf("rendered to %s, %v", loaded.Project.Dir, found)
	}
	paths := map[string]string{}
	for _, v := range loaded.Volumes {
		paths[v.Source] = v.Path
	}
	if diff := cmp.Diff(map[string]string{"./db": "/srv/app/db", "./more": "/srv/app/more", "./only-there.conf": "/srv/app/only-there.conf"}, paths); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{"HERE: /srv/app\n", "source: ./pg.conf", "source: ./conf", "source: /srv/app/db", stack.FilesLabel} {
		if !strings.Contains(string(loaded.Project.Compose), want) {
			t.Errorf("lacks %s:\n%s", want, loaded.Project.Compose)
		}
	}
}

// TestAProjectHasItsOwnName is issue 14, 2: what Docker has is called after the project,
// and what Salvor has after the stack.
func TestAProjectHasItsOwnName(t *testing.T) {
	opts := stackOf(t, map[string]string{"compose.yaml": "name: other\nservices: {web: {image: nginx, volumes: [\"data:/data\", \"./b:/b\"]}}\nvolumes: {data: {}}\n"})
	opts.Stack.Project = "traefik"
	_, _, loaded := running(t, opts)
	if p := loaded.Project; p.Name != "traefik" || !strings.HasPrefix(string(p.Compose), "name: traefik\n") || p.Dir != "/var/lib/salvor/stacks/app" {
		t.Errorf("project %q in %s:\n%s", p.Name, p.Dir, p.Compose)
	}
	if v := loaded.Volumes; v[0].Path != "/var/lib/salvor/volumes/app/@b" || v[1].Docker != "traefik_data" || loaded.Networks[0].Name != "traefik_default" {
		t.Errorf("%+v, %+v", v, loaded.Networks)
	}
}

// TestMountOfAnEmptyVariable is issue 10, C.11: ${DATA}/x with DATA unset is /x.
func TestMountOfAnEmptyVariable(t *testing.T) {
	for mount, fatal := range map[string]bool{
		"${DATA}/x:/x": true, "$DATA/x:/x": true, "${DATA:-}/x:/x": true, "${DATA-}/x:/x": true, "${EMPTY}/x:/x": true, "./a${DATA}:/x": true,
		"${DATA:-./d}/x:/x": false, "./a:/x:ro${SELINUX:-}": false, "${SET}/x:/x": false, "./$$DATA:/x": false,
	} {
		opts := stackOf(t, map[string]string{"compose.yaml": "services: {web: {image: nginx, volumes: [\"" + mount + "\"]}}\n", "stack.env": "EMPTY=\nSET=./d\n"})
		_, found, err := Load(t.Context(), opts)
		got := slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Code == finding.VariableUnset && f.Severity == finding.Fatal })
		if got != fatal || err != nil {
			t.Errorf("%s: fatal is %v: %v, %v", mount, got, found, err)
		}
	}
	opts := stackOf(t, map[string]string{"compose.yaml": "services: {web: {image: nginx, volumes: [\"${NOPE}:/data\"]}}\n"})
	if _, _, err := Load(t.Context(), opts); err == nil || !strings.HasPrefix(err.Error(), "stacks/app/compose.yaml:1:42: ${NOPE} is empty") || !strings.Contains(fault.Hint(err), "NOPE") {
		t.Errorf("%v, hint %s", err, fault.Hint(err))
	}
	opts = stackOf(t, map[string]string{"compose.yaml": "services: {web: {image: \"${IMAGE}\"}}\n"})
	if _, _, err := Load(t.Context(), opts); err == nil || !strings.Contains(fault.Hint(err), "IMAGE") {
		t.Errorf("%v, hint %s", err, fault.Hint(err))
	}
}

// TestEnvFileIsNeverSilentlyEmpty is issue 10, C.11, case 02: a service that lists a
// `.env` which Git does not have was deployed without a variable.
func TestEnvFileIsNeverSilentlyEmpty(t *testing.T) {
	const composeFile = "services: {web: {image: nginx, env_file: [.env]}}\n"
	const ignored = "SESSION=Zk3v\nURL=http://x\n"
	for name, c := range map[string]struct {
		files, tree map[string]string // in Git; in the working tree as well
		keys        []string
		fatal       string
	}{
		"nothing at all":             {files: map[string]string{"compose.yaml": composeFile}, fatal: "which is not in Git, and the stack has no variable"},
		"ignored":                    {files: map[string]string{"compose.yaml": composeFile}, tree: map[string]string{".env": ignored}, fatal: "the stack has no SESSION, URL"},
		"ignored and half imported":  {files: map[string]string{"compose.yaml": composeFile, "stack.env": "URL=http://x\n"}, tree: map[string]string{".env": ignored}, fatal: "the stack has no SESSION"},
		"imported":                   {files: map[string]string{"compose.yaml": composeFile, "stack.env": "URL=http://x\n"}, keys: []string{"SESSION"}},
		"imported and still there":   {files: map[string]string{"compose.yaml": composeFile, "stack.env": "URL=http://x\n"}, keys: []string{"SESSION"}, tree: map[string]string{".env": ignored}},
		"in Git":                     {files: map[string]string{"compose.yaml": composeFile, ".env": ignored}},
		"optional and not there":     {files: map[string]string{"compose.yaml": "services: {web: {image: nginx, env_file: [{path: .env, required: false}]}}\n"}},
		"optional and ignored":       {files: map[string]string{"compose.yaml": "services: {web: {image: nginx, env_file: [{path: .env, required: false}]}}\n"}, tree: map[string]string{".env": ignored}, fatal: "no SESSION, URL"},
		"another, optional, ignored": {files: map[string]string{"compose.yaml": "services: {web: {image: nginx, env_file: [{path: db.env, required: false}]}}\n"}, tree: map[string]string{"db.env": ignored}, fatal: "hosts do not get it"},
		"COMPOSE_FILE in an ignored": {files: map[string]string{"compose.yaml": one("web")}, tree: map[string]string{".env": "COMPOSE_FILE=compose.yaml:x.yaml\n"}, fatal: "COMPOSE_FILE is set in a file that Git ignores"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := stackOf(t, c.files)
			opts.SecretKeys = c.keys
			if c.tree != nil {
				opts.WorkTree = t.TempDir()
				writeStack(t, opts.WorkTree, c.files)
				writeStack(t, opts.WorkTree, c.tree)
			}
			_, found, _ := running(t, opts)
			switch {
			case c.fatal == "" && finding.AnyFatal(found):
				t.Errorf("found %v", found)
			case c.fatal != "" && (len(found) == 0 || found[0].Severity != finding.Fatal || !strings.Contains(found[0].Text, c.fatal) || !strings.HasPrefix(found[0].Fix, "salvor secret import stacks/app/")):
				t.Errorf("found %v", found)
			}
		})
	}
	opts := stackOf(t, map[string]string{"compose.yaml": "services: {web: {image: nginx, env_file: [db.env]}}\n"})
	if _, _, err := Load(t.Context(), opts); err == nil || fault.Hint(err) != "salvor secret import stacks/app/db.env" {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
	unset := stackOf(t, map[string]string{"compose.yaml": "services: {web: {image: \"nginx:${TAG}\"}}\n"})
	unset.WorkTree = t.TempDir()
	writeStack(t, unset.WorkTree, map[string]string{".env": "TAG=1\n"})
	if _, found, _ := running(t, unset); len(found) != 1 || found[0].Severity != finding.Fatal || found[0].Fix != "salvor secret import stacks/app/.env" {
		t.Errorf("found %v", found)
	}
	unset.Vars = map[string]string{"TAG": "2"}
	if _, found, _ := running(t, unset); len(found) != 0 {
		t.Errorf("Git sets it: found %v", found)
	}
	root := stackOf(t, map[string]string{"compose.yaml": "services: {web: {image: nginx, volumes: [\"${ROOT}/config/web:/config\", {type: bind, source: \"${ROOT:-/mnt}/films\", target: /films}, \"/opt/web:/opt\"]}}\n"})
	root.WorkTree = t.TempDir()
	writeStack(t, root.WorkTree, map[string]string{".env": "ROOT=/srv\n"})
	_, found, _ := running(t, root)
	var said []string
	for _, f := range found {
		said = append(said, string(f.Code))
	}
	if !slices.Contains(said, "not-in-git") || len(slices.DeleteFunc(said, func(code string) bool { return code != "mount-unclassified" })) != 1 {
		t.Errorf("what ROOT will be is asked before it is known: %v", found)
	}
	several := stackOf(t, map[string]string{"compose.yaml": "services: {job: {image: nginx, env_file: .env}, web: {image: nginx, env_file: .env}}\n"})
	several.WorkTree = t.TempDir()
	writeStack(t, several.WorkTree, map[string]string{".env": ignored})
	if _, found, _ := running(t, several); len(found) != 1 {
		t.Errorf("one file is said more than once: %v", found)
	}
}

// TestMountedFileThatGitLacks is issue 10, C.11, case 07: an ignored file was config
// for check and an empty folder for the host.
func TestMountedFileThatGitLacks(t *testing.T) {
	const composeFile = "services: {web: {image: nginx, volumes: [\"./tls/site.key:/etc/nginx/site.key:ro\", \"./tls/site.crt:/etc/nginx/site.crt:ro\"]}}\n"
	opts := stackOf(t, map[string]string{"compose.yaml": composeFile, "tls/site.crt": "crt"})
	_, found, _ := running(t, opts)
	if len(found) != 1 || found[0].Code != finding.NotInGit || found[0].Severity != finding.Fatal || !strings.Contains(found[0].Text, "stacks/app/tls/site.key") {
		t.Errorf("from the commit: %v", found)
	}
	tree := t.TempDir()
	writeStack(t, tree, map[string]string{"compose.yaml": composeFile, "tls/site.crt": "crt", "tls/site.key": "key", "tls/.site.key.swp": ""})
	opts.WorkTree = tree
	if _, inTree, _ := running(t, opts); !cmp.Equal(found, inTree) {
		t.Errorf("from the working tree: %v", inTree)
	}
	folder := stackOf(t, map[string]string{"compose.yaml": "services: {web: {image: nginx, volumes: [\"./tls:/tls:ro\"]}}\n", "tls/site.crt": "crt"})
	folder.WorkTree = tree
	if _, found, _ := running(t, folder); len(found) != 1 || found[0].Severity != finding.Warning || !strings.Contains(found[0].Text, "without stacks/app/tls/site.key,") {
		t.Errorf("a folder: %v", found)
	}
	said := stackOf(t, map[string]string{"compose.yaml": "services: {web: {image: nginx, volumes: [\"./state.json:/state.json\"]}}\n"})
	said.Stack.Volumes = []fleet.VolumePolicy{{Volume: "./state.json", Protect: fleet.Snapshot}}
	if _, found, _ := running(t, said); finding.AnyFatal(found) {
		t.Errorf("declared as data: %v", found)
	}
}

// TestDataCopiedAlongIsData is issue 10, C.11, case 08: a database in Git counted as
// config, would be delivered over live data, and was in no snapshot.
func TestDataCopiedAlongIsData(t *testing.T) {
	for name, c := range map[string]struct {
		mount string
		files map[string]string
		data  bool
	}{
		"postgres":            {"./data:/var/lib/postgresql/data", map[string]string{"data/PG_VERSION": "17", "data/base/1/112": "x"}, true},
		"postgres, a part":    {"./data:/var/lib/postgresql/data", map[string]string{"data/pg_hba.conf": "x"}, true},
		"below the mount":     {"./data:/srv", map[string]string{"data/pg/PG_VERSION": "17"}, true},
		"sqlite":              {"./app:/app/data", map[string]string{"app/notes.bin": "SQLite format 3\x00rest"}, true},
		"sqlite, one file":    {"./notes.db:/app/notes.db", map[string]string{"notes.db": "SQLite format 3\x00rest"}, true},
		"sqlite, only read":   {"./geo:/geo:ro", map[string]string{"geo/geo.db": "SQLite format 3\x00rest"}, false},
		"configuration":       {"./conf:/etc/app", map[string]string{"conf/app.yaml": "a: b"}, false},
		"the server's config": {"./conf:/etc/postgresql", map[string]string{"conf/pg.conf": "a"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.files["compose.yaml"] = "services: {db: {image: postgres:17, volumes: [\"" + c.mount + "\"]}}\n"
			_, found, loaded := running(t, stackOf(t, c.files))
			got := slices.ContainsFunc(found, func(f finding.Finding) bool {
				return f.Code == finding.DataInGit && f.Severity == finding.Fatal && strings.HasPrefix(f.Fix, "git rm -r --cached --quiet --ignore-unmatch stacks/app/")
			})
			if got != c.data || (len(loaded.Volumes) == 1) != c.data || (len(loaded.Project.Files) == 0) != c.data {
				t.Errorf("data is %v, volumes %v, files %d: %v", got, loaded.Volumes, len(loaded.Project.Files), found)
			}
		})
	}
}

// TestAnEnvFileThatIsReplacedIsThere: what an import makes of a stack is looked at before
// any file of it is written.
func TestAnEnvFileThatIsReplacedIsThere(t *testing.T) {
	opts := stackOf(t, map[string]string{"compose.yaml": "services: {web: {image: nginx, env_file: [app.env]}}\n"})
	opts.Replaced = map[string][]byte{"stacks/app/app.env": []byte("A=1\n")}
	if services, _, _ := running(t, opts); !slices.Equal(services, []string{"web"}) {
		t.Error(services)
	}
}
