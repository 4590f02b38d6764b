package stack

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/project"
	"salvor/internal/stack/stacktest"
)

const renderedText = `name: notes
services:
  app:
    image: app:1
    environment: {PW: "${PW}", PRICE: 5$$}
    labels: {dev.salvor.files: "sha256:1", mine: "yes"}
    volumes:
      - {type: bind, source: /var/lib/salvor/stacks/notes/app.conf, target: /etc/app.conf, read_only: true, bind: {create_host_path: true}}
      - {type: bind, source: /var/lib/salvor/volumes/notes/data, target: /data, bind: {create_host_path: true}}
      - {type: bind, source: /run/salvor/gate/notes, target: /.salvor-gate, read_only: true, bind: {create_host_path: false}}
      - {type: bind, source: /run/salvor/secrets/notes/app, target: /run/secrets, read_only: true, bind: {create_host_path: false}}
      - {type: bind, source: /run/salvor/secrets/notes/.files/app/%2Fetc%2Fkey, target: /etc/key, read_only: true, bind: {create_host_path: false}}
  job:
    image: job:1
    labels: {dev.salvor.files: "sha256:2"}
    restart: on-failure
    volumes:
      - {type: bind, source: /run/salvor/gate/notes, target: /.salvor-gate, read_only: true, bind: {create_host_path: false}}
  web:
    build: {context: /var/lib/salvor/stacks/notes/web}
    restart: always
`

const plainText = `# Stack notes, as it ran when ` + "`salvor host release`" + ` gave it back.
name: notes
services:
  app:
    image: app:1@sha256:aa
    environment: {PW: "${PW}", PRICE: 5$$}
    labels: {mine: "yes"}
    volumes:
      - {type: bind, source: /opt/stacks/notes/app.conf, target: /etc/app.conf, read_only: true, bind: {create_host_path: true}}
      - {type: bind, source: /var/lib/salvor/volumes/notes/data, target: /data, bind: {create_host_path: true}}
      - {type: bind, source: /opt/stacks/notes/secrets/app, target: /run/secrets, read_only: true, bind: {create_host_path: false}}
      - {type: bind, source: /opt/stacks/notes/secrets/.files/app/%2Fetc%2Fkey, target: /etc/key, read_only: true, bind: {create_host_path: false}}
    restart: unless-stopped
  job:
    image: job:1
    restart: on-failure
  web:
    build: {context: /opt/stacks/notes/web}
    restart: always
`

func released() pinnedProject {
	return pinnedProject{
		Project: project.Project{
			Dir: "/var/lib/salvor/stacks/notes", Compose: []byte(renderedText), Env: []string{"PW"},
			Files: []project.File{{Path: "app.conf", Mode: 0o644, Data: []byte("x\n")}, {Path: "web/Dockerfile", Mode: 0o644, Data: []byte("FROM scratch\n")}},
			Secrets: []project.SecretMount{
				{Service: "app", Secret: "TOKEN", Target: "token", Mode: 0o444},
				{Service: "app", Secret: "secrets/key", Target: "/etc/key", UID: 999, GID: 999, Mode: 0o400},
			},
		},
		Images: map[string]string{"app": "app:1@sha256:aa"},
	}
}

// TestARenderedStackRunsWithoutSalvor: without gate, from a folder of its own, with secrets in
// files, and after a boot.
func TestARenderedStackRunsWithoutSalvor(t *testing.T) {
	secrets := PlainSecrets{Env: map[string]string{"PW": "it's $5", "OTHER": "x"}, Files: map[string][]byte{"TOKEN": []byte("t"), "secrets/key": []byte("k")}}
	plain, err := plainly("notes", released(), "/opt/stacks/notes", []string{"app", "web"}, secrets)
	if err != nil {
		t.Fatal(err)
	}
	want := []PlainFile{
		{Path: "compose.yaml", Data: []byte(plainText), Mode: 0o644},
		{Path: ".env", Data: []byte("PW=\"it's \\$5\"\n"), Mode: 0o600, Secret: true},
		{Path: "secrets/app/token", Data: []byte("t"), Mode: 0o444, Secret: true},
		{Path: "secrets/.files/app/%2Fetc%2Fkey", Data: []byte("k"), Mode: 0o400, UID: 999, GID: 999, Secret: true},
		{Path: "app.conf", Data: []byte("x\n"), Mode: 0o644},
		{Path: "web/Dockerfile", Data: []byte("FROM scratch\n"), Mode: 0o644},
	}
	asText := cmp.Transformer("text", func(b []byte) string { return string(b) })
	if diff := cmp.Diff(want, plain.Files, asText); diff != "" {
		t.Error(diff)
	}
	if files := plain.Secrets(); len(files) != 3 || files[0] != "/opt/stacks/notes/.env" {
		t.Errorf("named: %v", files)
	}
}

func TestASecretThatIsNotThereIsNotReleased(t *testing.T) {
	_, err := plainly("notes", released(), "/opt/stacks/notes", nil, PlainSecrets{Files: map[string][]byte{"TOKEN": nil}})
	if err == nil || !strings.Contains(err.Error(), "secrets/key") {
		t.Error(err)
	}
	k := released()
	k.Project.Secrets[0].Target = "../../../etc/cron.d/x"
	if _, err := plainly("notes", k, "/opt/stacks/notes", nil, PlainSecrets{Files: map[string][]byte{"TOKEN": nil, "secrets/key": nil}}); err == nil {
		t.Error("a secret would be written outside of the folder")
	}
}

// TestTheUsersFilesAreGits: without what is Salvor's in them, and with a whole .env.
func TestTheUsersFilesAreGits(t *testing.T) {
	a := project.Adoption{
		Dir: "/srv/notes", Compose: []string{"compose.yaml"},
		Files: []project.File{
			{Path: "compose.yaml", Data: []byte("x-salvor:\n  host: alpha\n  dir: /srv/notes\n\n# my notes\nservices:\n  app: {image: app:1, env_file: app.env}\n")},
			{Path: "app.env", Data: []byte("PW=${PW}\n")}, {Path: "stack.env", Data: []byte("TZ=UTC\n")},
		},
		Vars: map[string]string{"TZ": "UTC", "PW": "${PW}", "PWD": "/srv/notes"}, Env: map[string]string{"PRICE": "5$$"},
	}
	files, err := ofUser("notes", a, PlainSecrets{Env: map[string]string{"PW": "p"}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range files {
		got[f.Path] = string(f.Data)
	}
	want := map[string]string{
		"compose.yaml": "# my notes\nservices:\n  app: {image: app:1, env_file: app.env}\n",
		"app.env":      "PW=${PW}\n",
		".env":         "PRICE='5$'\nPW='p'\nTZ='UTC'\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	a.Files = append(a.Files, project.File{Path: "../shared.yaml"})
	if _, err := ofUser("notes", a, PlainSecrets{}); err == nil {
		t.Error("a file outside of the folder would be written")
	}
}

// TestTheUsersSecretsAreFilesAgain: what adopt encrypted of `secrets:` is a file that Compose
// finds, and programs stay so.
func TestTheUsersSecretsAreFilesAgain(t *testing.T) {
	a := project.Adoption{
		Dir: "/srv/notes", Compose: []string{"compose.yaml"},
		Files: []project.File{
			{Path: "compose.yaml", Data: []byte("services:\n  app: {image: app:1, secrets: [pw]}\nsecrets:\n  pw: {external: true, name: notes_pw}\n")},
			{Path: "start.sh", Mode: 0o755, Data: []byte("#!/bin/sh\n")},
		},
	}
	files, err := ofUser("notes", a, PlainSecrets{Files: map[string][]byte{"notes_pw": []byte("p")}})
	if err != nil {
		t.Fatal(err)
	}
	want := []PlainFile{
		{Path: "secrets/notes_pw", Data: []byte("p"), Mode: 0o444, Secret: true},
		{Path: "compose.yaml", Data: []byte("services:\n  app: {image: app:1, secrets: [pw]}\nsecrets:\n  pw: {file: ./secrets/notes_pw}\n"), Mode: 0o644},
		{Path: "start.sh", Data: []byte("#!/bin/sh\n"), Mode: 0o755},
	}
	asText := cmp.Transformer("text", func(b []byte) string { return string(b) })
	if diff := cmp.Diff(want, files, asText); diff != "" {
		t.Error(diff)
	}
	if _, err := ofUser("notes", a, PlainSecrets{}); err == nil || !strings.Contains(err.Error(), "notes_pw") {
		t.Errorf("a secret that is not here: %v", err)
	}
}

// TestWhatFilesSayIsCompared: Compose's hashes do not cover a mounted file, nor a secret.
func TestWhatFilesSayIsCompared(t *testing.T) {
	engine := stacktest.New()
	p := Named(New(engine), "notes")
	plain := Plain{Dir: "/srv/notes", Compose: []string{"compose.yaml"}}
	files := []PlainFile{{Path: "compose.yaml", Data: []byte("a")}, {Path: ".env", Data: []byte("b")}, {Path: "app.conf", Data: []byte("new")}}
	for name, want := range map[string]bool{"new": true, "old": false} {
		if err := engine.WriteFile(t.Context(), "/srv/notes/app.conf", strings.NewReader(name), 0o644); err != nil {
			t.Fatal(err)
		}
		if same, err := p.hasAll(t.Context(), plain, files); err != nil || same != want {
			t.Errorf("%s: %v, %v", name, same, err)
		}
	}
	if same, err := p.hasAll(t.Context(), plain, append(files, PlainFile{Path: "secrets/pw", Secret: true})); err != nil || same {
		t.Errorf("a secret that is not there: %v, %v", same, err)
	}
}

// TestTheUsersFilesKeepTheirModes: what says the same is not written, and what is replaced has
// the owner of the user's, and its mode where there is no secret in it.
func TestTheUsersFilesKeepTheirModes(t *testing.T) {
	engine := stacktest.New()
	p := Named(New(engine), "notes")
	plain := Plain{Dir: "/srv/notes", own: true, Compose: []string{"compose.yaml"}, Files: []PlainFile{
		{Path: "same.conf", Data: []byte("same"), Mode: 0o644}, {Path: "compose.yaml", Data: []byte("new"), Mode: 0o644}, {Path: ".env", Data: []byte("PW=x"), Mode: 0o600, Secret: true},
	}}
	for file, content := range map[string]string{"same.conf": "same", "compose.yaml": "old", "compose.yaml" + before: "old", ".env": "PW=y", ".env" + before: "PW=y"} {
		if err := engine.WriteFile(t.Context(), "/srv/notes/"+file, strings.NewReader(content), 0o664); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.writePlain(t.Context(), plain); err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, c := range engine.Calls() {
		if argv := strings.Join(c.Argv, " "); strings.HasPrefix(argv, "chown") || strings.HasPrefix(argv, "chmod") {
			asked = append(asked, argv)
		}
	}
	want := []string{
		"chown --reference=/srv/notes/compose.yaml.before-salvor-release -- /srv/notes/compose.yaml",
		"chmod --reference=/srv/notes/compose.yaml.before-salvor-release -- /srv/notes/compose.yaml",
		"chown --reference=/srv/notes/.env.before-salvor-release -- /srv/notes/.env",
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
	if files := engine.Files(); files["/srv/notes/same.conf"].Mode != 0o664 || files["/srv/notes/.env"].Mode != 0o600 {
		t.Errorf("modes %o, %o", files["/srv/notes/same.conf"].Mode, files["/srv/notes/.env"].Mode)
	}
}
