package stack

import (
	"strings"
	"testing"

	"salvor/internal/project"
	"salvor/internal/stack/stacktest"
)

// TestTheCommandThatFindsAProject: with the options that Compose would not come to on its own.
func TestTheCommandThatFindsAProject(t *testing.T) {
	for want, c := range map[string]struct {
		named          bool
		files, envFile string
	}{
		"docker compose up -d":                                         {true, "/srv/notes/compose.yaml", "/srv/notes/.env"},
		"docker compose -p wiki up -d":                                 {false, "/srv/notes/docker-compose.yml,/srv/notes/docker-compose.override.yml", ""},
		"docker compose -f app.yaml up -d":                             {true, "/srv/notes/app.yaml", ""},
		"docker compose -f 'my app.yaml' up -d":                        {true, "/srv/notes/my app.yaml", ""},
		"docker compose -p wiki --env-file ../all.env up -d":           {false, "/srv/notes/compose.yaml", "../all.env"},
		"docker compose --env-file /srv/all.env --env-file .env up -d": {true, "/srv/notes/compose.yaml", "/srv/all.env,/srv/notes/.env"},
	} {
		split := func(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) }
		if got := upIn("/srv/notes", "wiki", c.named, split(c.files), split(c.envFile)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestAnUntouchedStackIsFoundAgain as it was started; without its files there is no command.
func TestAnUntouchedStackIsFoundAgain(t *testing.T) {
	engine := stacktest.New()
	p := Named(Wanting(New(engine), map[string]string{"notes": "wiki"}), "notes")
	engine.Add("wiki", "app", "running")
	a := project.Adoption{Dir: "/data/compose/2", Compose: []string{"docker-compose.yml"}}
	if plain, err := p.asStarted(t.Context(), a); err != nil || plain.Up != "" {
		t.Errorf("without its file: %q, %v", plain.Up, err)
	}
	if err := engine.WriteFile(t.Context(), "/data/compose/2/docker-compose.yml", strings.NewReader("services: {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if plain, err := p.asStarted(t.Context(), a); err != nil || plain.Up != "docker compose -p wiki up -d" {
		t.Errorf("%q, %v", plain.Up, err)
	}
}

// TestAReleasedStackKeepsItsName: plain `docker compose up -d` in the folder is the same
// project. What is so already stays byte for byte.
func TestAReleasedStackKeepsItsName(t *testing.T) {
	const plain = "# mine\nservices:\n  app: {image: app:1}\n"
	for name, c := range map[string]struct {
		dir, compose string
		vars         map[string]string
		want         string
	}{
		"the folder's":     {"/srv/wiki", plain, nil, plain},
		"another folder's": {"/data/compose/1", plain, nil, plain + "name: wiki\n"},
		"the file's":       {"/srv/x", "name: wiki\n" + plain, nil, "name: wiki\n" + plain},
		"not the file's":   {"/srv/wiki", "name: other\n" + plain, nil, "name: wiki\n" + plain},
		"the variable's":   {"/srv/x", plain, map[string]string{projectVariable: "wiki"}, plain},
	} {
		a := project.Adoption{Dir: c.dir, Compose: []string{"compose.yaml"}, Vars: c.vars, Files: []project.File{{Path: "compose.yaml", Data: []byte(c.compose)}}}
		files, err := ofUser("notes", a, PlainSecrets{})
		if err == nil {
			files, err = withName(files, a, "wiki")
		}
		if err != nil || string(files[0].Data) != c.want {
			t.Errorf("%s: %q, %v", name, files[0].Data, err)
		}
	}
}
