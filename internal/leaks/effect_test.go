package leaks

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"salvor/internal/checkout"
	"salvor/internal/scan"
)

// TestADefaultThatNothingUses does not count: the variable is set, by whatever sets variables. What an
// ignored .env sets is to be imported, which check demands.
func TestADefaultThatNothingUses(t *testing.T) {
	t.Parallel()
	const uses = "services:\n  db: {image: postgres, environment: {POSTGRES_PASSWORD: \"${PW:-changeme}\", API_TOKEN: \"${NEW:-${OLD:-hunter2}}\"}}\n"
	for name, test := range map[string]struct {
		file, content string
		left          int
	}{
		"nothing sets it":        {left: 2},
		"a secret of the stack":  {"secrets/a.env", "PW=ENC[AES256_GCM,data:x]\nsops_version=3\nsops_mac=ENC[AES256_GCM,data:x]\n", 1},
		"one of another stack":   {"secrets/b.env", "PW=ENC[AES256_GCM,data:x]\nsops_version=3\nsops_mac=ENC[AES256_GCM,data:x]\n", 2},
		"stack.env":              {"stacks/a/stack.env", "PW=\"$X\"\nOLD=${X}\n", 0},
		"stack.env, to nothing":  {"stacks/a/stack.env", "PW=\nexport OLD=''\n", 2},
		"an ignored .env":        {"stacks/a/.env", "PW=$X\n", 1},
		"a variable of fleet":    {"fleet.yaml", "schema: 1\nfleet: home\nvars: {NEW: $x}\n", 1},
		"a program of fleet":     {"fleet.yaml", "schema: 1\nfleet: home\nsecrets: {a/PW: {command: [pass, pw]}}\n", 1},
		"a fleet that is broken": {"fleet.yaml", "{", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClone(t)
			c.write(".gitignore", ".env\n")
			c.write("stacks/a/compose.yaml", uses)
			files, err := checkout.OpenFiles(t.Context(), c.dir)
			if err != nil {
				t.Fatal(err)
			}
			if test.file != "" {
				c.write(test.file, test.content)
			}
			c.git("add", "--all")
			want := slices.Repeat([]string{"stacks/a/compose.yaml:2"}, test.left)
			c.check("in the working tree", c.places(Work(t.Context(), files)), want...)
			c.check("staged", c.places(Staged(t.Context(), files)), want...)
		})
	}
}

// TestAPlaceholderThatNothingReads does not count: it is in a file that no Compose file of its
// stack names. A value that could be real counts wherever it is.
func TestAPlaceholderThatNothingReads(t *testing.T) {
	t.Parallel()
	const placeholder, real = "DB_PASSWORD=changeme\n", "DB_PASSWORD=hunter2\n"
	for name, test := range map[string]struct {
		file, content, compose string
		leak                   bool
	}{
		"an env file that is listed":      {"stacks/a/db.env", placeholder, "env_file: db.env", true},
		"one that is not":                 {"stacks/a/dev.env", placeholder, "env_file: db.env", false},
		"one that is not, with a value":   {"stacks/a/dev.env", real, "env_file: db.env", true},
		"a file of a folder that is used": {"stacks/a/config/app.ini", "password = changeme\n", "volumes: [\"./config:/config\"]", true},
		"a file of another folder":        {"stacks/a/other/app.ini", "password = changeme\n", "volumes: [\"./config:/config\"]", false},
		"all of the folder is built":      {"stacks/a/other/app.ini", "password = changeme\n", "build: .", true},
		"all of it is mounted":            {"stacks/a/other/app.ini", "password = changeme\n", "volumes: [\"./:/app\"]", true},
		"a sample with a value":           {"stacks/a/.env.example", real, "env_file: .env", false},
		"a sample where all is built":     {"stacks/a/env.example", real, "build: .", false},
		"a sample that is listed":         {"stacks/a/.env.example", real, "env_file: .env.example", true},
		"a sample in a comment":           {"stacks/a/env.example", real, "env_file: .env\n    # see env.example", false},
		"a long value in a sample":        {"stacks/a/.env.example", "APP_KEY=SomeRandomStringOf32CharsExactly\n", "env_file: .env", false},
		"a random value in a sample":      {"stacks/a/.env.sample", "DB_PASSWORD=Zx8kQw71LmPp0v\n", "env_file: .env", true},
		"a file about the sample":         {"stacks/a/README.md", "DB_URL=postgres://a:hunter2@db/a\n", "", true},
		"stack.env":                       {"stacks/a/stack.env", placeholder, "", true},
		"another Compose file":            {"stacks/a/docker-compose.dev.yml", "services: {db: {environment: {PASSWORD: changeme}}}\n", "", false},
		"an override":                     {"stacks/a/compose.override.yaml", "services: {db: {environment: {PASSWORD: changeme}}}\n", "", true},
		"outside of stacks":               {"playbooks/site.yaml", "password: changeme\n", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClone(t)
			c.write("stacks/a/compose.yaml", "services:\n  db:\n    image: postgres\n    "+test.compose+"\n")
			c.write(test.file, test.content)
			files, err := checkout.OpenFiles(t.Context(), c.dir)
			if err != nil {
				t.Fatal(err)
			}
			if found := c.places(Work(t.Context(), files)); (len(found) == 1) != test.leak || len(found) > 1 {
				t.Errorf("found %q", found)
			}
		})
	}
}

// TestFleetYAMLExcusesFiles of which it is known that their secrets are not real.
func TestFleetYAMLExcusesFiles(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	fleet, err := os.ReadFile(c.dir + "/fleet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"stacks/a/docs/install.txt", "stacks/a/docs/deep/er.txt", "stacks/b/docs/install.txt", "stacks/b/sample.conf", "stacks/b/real.conf"} {
		c.write(name, name+"\n"+c.secret+"\n")
	}
	excused := string(fleet) + "\nscan: {allow: [stacks/*/docs, stacks/b/sample.*]}\n"
	c.write("fleet.yaml", excused)
	c.check("in the working tree", c.places(Work(t.Context(), c.open(checkout.WorkTree))), "stacks/b/real.conf:2")
	c.commit("all of it")
	c.check("in the history", c.places(History(t.Context(), c.open(checkout.Committed))), "stacks/b/real.conf:2")
	found, err := Findings(t.Context(), c.open(checkout.Committed))
	if err != nil || len(found) != 1 {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestTheNextCommand is one that can be typed.
func TestTheNextCommand(t *testing.T) {
	t.Parallel()
	all := []scan.Leak{
		{Path: "stacks/a/db.env", EnvFile: true}, {Path: "stacks/a/.env", EnvFile: true}, {Path: "stacks/a/.env", EnvFile: true, Line: 2},
		{Path: "stacks/b/.env", EnvFile: true}, {Path: ".env", EnvFile: true},
		{Path: "stacks/a/compose.yaml", Key: "PW", Default: "NEW OLD"}, {Path: "stacks/a/compose.yaml", Key: "PW"}, {Path: "stacks/c/docker-compose.yml"}, {Path: "stacks/a/conf/my file.yml"}, {Path: "x.txt"},
	}
	var got []string
	for _, l := range all {
		got = append(got, strings.SplitN(fix(l, all), ",", 2)[0])
	}
	const ofA = "salvor secret import stacks/a/.env stacks/a/compose.yaml stacks/a/db.env"
	want := []string{
		ofA, ofA, ofA, "salvor secret import stacks/b/.env", "salvor secret import .env", "salvor secret set a/NEW (--generate makes a value)", ofA,
		"salvor secret import stacks/c/docker-compose.yml", "salvor secret set a_my_file.yml <stacks/a/conf/my file.yml", "salvor secret set NAME",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q", got)
	}
	for from, advice := range map[int]string{0: want[0], 7: want[7], 8: fix(all[8], all), 9: "salvor secret set NAME keeps it encrypted"} {
		if got := Advice(all[from:]); got != advice {
			t.Errorf("%q, want %q", got, advice)
		}
	}
}

// TestAnEnvFileOfAnyName is imported: a service lists it.
func TestAnEnvFileOfAnyName(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		compose string
		listed  bool
	}{
		"one":        {"env_file: config.monitoring", true},
		"in a line":  {"env_file: [a.env, ./config.monitoring]", true},
		"below":      {"env_file: # two\n      - a.env\n      - path: config.monitoring\n        required: false", true},
		"mounted":    {"env_file:\n      - a.env\n    volumes:\n      - ./config.monitoring:/c", false},
		"not at all": {"command: config.monitoring", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClone(t)
			c.write("stacks/a/compose.yaml", "services:\n  db:\n    image: postgres\n    "+test.compose+"\n")
			c.write("stacks/a/config.monitoring", "ADMIN_PASSWORD=hunter2\n")
			files, err := checkout.OpenFiles(t.Context(), c.dir)
			if err != nil {
				t.Fatal(err)
			}
			found, err := Work(t.Context(), files)
			if err != nil || len(found) != 1 || found[0].EnvFile != test.listed {
				t.Errorf("%+v, %v", found, err)
			}
		})
	}
}
