package controlrepo

import (
	"errors"
	pathpkg "path"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/yamldoc"
)

func TestSetVariable(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"mapping":      {"services:\n  web:\n    environment: # c\n      A: b # a\n    image: x\n", "services:\n  web:\n    environment: # c\n      A: b # a\n      X: ${X}\n    image: x\n"},
		"list":         {"services:\n  web:\n    environment:\n    - A=b # a\n    # c\n    image: x\n", "services:\n  web:\n    environment:\n    - A=b # a\n    - X=${X}\n    # c\n    image: x\n"},
		"flow":         {"services: {web: {environment: {A: b}}}\n", "services: {web: {environment: {A: b, X: \"${X}\"}}}\n"},
		"flow list":    {"services:\n  web:\n    environment: [A=b, 'C=]']\n", "services:\n  web:\n    environment: [A=b, 'C=]', \"X=${X}\"]\n"},
		"empty list":   {"services:\n  web:\n    environment: []\n", "services:\n  web:\n    environment: [\"X=${X}\"]\n"},
		"none":         {"services:\n  web:\n    image: x\n\n  db: {image: y}\n", "services:\n  web:\n    image: x\n    environment:\n      X: ${X}\n\n  db: {image: y}\n"},
		"merged":       {"x-c: &c\n  environment:\n    A: b\nservices:\n  web:\n    <<: *c\n  job:\n    <<: *c\n  own:\n    <<: *c\n    environment: {B: c}\n", "x-c: &c\n  environment:\n    A: b\n    X: ${X}\nservices:\n  web:\n    <<: *c\n  job:\n    <<: *c\n  own:\n    <<: *c\n    environment: {B: c}\n"},
		"null":         {"services:\n  web:\n    environment:\n    image: x\n", "services:\n  web:\n    environment:\n      X: ${X}\n    image: x\n"},
		"of an anchor": {"x-e: &e {A: b}\nservices:\n  web:\n    environment:\n      <<: *e\n", "x-e: &e {A: b}\nservices:\n  web:\n    environment:\n      <<: *e\n      X: ${X}\n"},
		"there":        {"services:\n  web:\n    environment: [\"X=1\", Y=2]\n", "services:\n  web:\n    environment: [\"X=${X}\", Y=2]\n"},
		"named alone":  {"services:\n  web:\n    environment:\n      - X # from outside\n", "services:\n  web:\n    environment:\n      - X=${X} # from outside\n"},
		"crlf":         {"services:\r\n  web:\r\n    environment:\r\n      - A=b\r\n", "services:\r\n  web:\r\n    environment:\r\n      - A=b\r\n      - X=${X}\r\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := SetVariable([]byte(test.in), "web", "X", "${X}")
			if diff := cmp.Diff(test.want, string(got)); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestDropEnvFile(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"scalar":       {"services:\n  web:\n    # c\n    env_file: app.env # d\n    image: x\n", "services:\n  web:\n    # c\n    image: x\n"},
		"only one":     {"services:\n  web:\n    env_file:\n      # c\n      - ./app.env\n    image: x\n", "services:\n  web:\n    image: x\n"},
		"first":        {"services:\n  web:\n    env_file:\n    - app.env\n    - b.env # b\n    image: x\n", "services:\n  web:\n    env_file:\n    - b.env # b\n    image: x\n"},
		"last":         {"services:\n  web:\n    env_file:\n    - a.env\n    # c\n    - app.env\n    image: x\n", "services:\n  web:\n    env_file:\n    - a.env\n    # c\n    image: x\n"},
		"long form":    {"services:\n  web:\n    env_file:\n      - path: app.env\n        required: false\n      - path: b.env\n", "services:\n  web:\n    env_file:\n      - path: b.env\n"},
		"flow, first":  {"services: {web: {env_file: [app.env, b.env]}}\n", "services: {web: {env_file: [b.env]}}\n"},
		"flow, last":   {"services: {web: {env_file: [a.env, 'app.env'], image: x}}\n", "services: {web: {env_file: [a.env], image: x}}\n"},
		"flow, all":    {"services: {web: {env_file: app.env, image: x}}\n", "services: {web: {image: x}}\n"},
		"last in flow": {"services:\n  web: {image: x, env_file: [app.env]}\n", "services:\n  web: {image: x}\n"},
		"merged":       {"x-c: &c\n  # d\n  env_file: app.env # c\n  restart: always\nservices:\n  web:\n    <<: *c\n  job:\n    <<: [*c]\n  own:\n    <<: *c\n    env_file: app.env\n", "x-c: &c\n  # d\n  restart: always\nservices:\n  web:\n    <<: *c\n  job:\n    <<: [*c]\n  own:\n    <<: *c\n    env_file: app.env\n"},
		"merged, all":  {"x-c: &c # d\n  env_file: app.env\nservices:\n  web: {<<: *c}\n", "x-c: &c {} # d\nservices:\n  web: {<<: *c}\n"},
		"merged, one":  {"x-c: &c {env_file: [app.env, b.env], restart: always}\nservices:\n  web: {<<: *c}\n  job: {<<: *c}\n", "x-c: &c {env_file: [b.env], restart: always}\nservices:\n  web: {<<: *c}\n  job: {<<: *c}\n"},
		"no such file": {"services: {web: {env_file: b.env}}\n", "services: {web: {env_file: b.env}}\n"},
		"none":         {"services: {web: {image: x}}\n", "services: {web: {image: x}}\n"},
		"twice":        {"services:\n  web:\n    env_file: [app.env, b.env, ./app.env]\n", "services:\n  web:\n    env_file: [b.env]\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DropEnvFile([]byte(test.in), "web", isAppEnv)
			if diff := cmp.Diff(test.want, string(got)); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestDropIncludedEnvFile(t *testing.T) {
	for in, want := range map[string]string{
		"include:\n  - path: a.yaml\n    env_file: app.env\n  - b.yaml\n":          "include:\n  - path: a.yaml\n  - b.yaml\n",
		"include: [{path: a.yaml, env_file: [./app.env, b.env]}]\n":                "include: [{path: a.yaml, env_file: [b.env]}]\n",
		"include:\n  - b.yaml\n  - path: a.yaml\n    env_file:\n      - app.env\n": "include:\n  - b.yaml\n  - path: a.yaml\n",
		"include: [a.yaml]\n": "include: [a.yaml]\n",
		"services: {}\n":      "services: {}\n",
	} {
		got, err := DropIncludedEnvFile([]byte(in), isAppEnv)
		if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

func TestSetSecretFile(t *testing.T) {
	for in, want := range map[string]string{
		"secrets:\n  a:\n    file: ./app.env # c\n  b: {file: b}\n": "secrets:\n  a:\n    external: true\n    name: notes_app\n  b: {file: b}\n",
		"secrets: {a: {file: app.env}}\n":                           "secrets: {a: {external: true, name: notes_app}}\n",
		"secrets: {a: {environment: A}}\n":                          "secrets: {a: {environment: A}}\n",
		"services: {}\n":                                            "services: {}\n",
	} {
		got, err := SetSecretFile([]byte(in), "notes_app", isAppEnv)
		if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

func isAppEnv(written string) bool { return pathpkg.Clean(written) == "app.env" }

func TestReadFromFile(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"mapping":      {"services:\n  db:\n    environment:\n      A: b\n      X: ${Y} # c\n", "services:\n  db:\n    environment:\n      A: b\n      X_FILE: /run/secrets/Y # c\n    secrets: [Y]\nsecrets:\n  Y: {environment: Y}\n"},
		"list":         {"services:\n  db:\n    environment:\n      - X=${Y}\n    secrets:\n      - z\nsecrets:\n  z: {environment: Z} # z\n", "services:\n  db:\n    environment:\n      - X_FILE=/run/secrets/Y\n    secrets:\n      - z\n      - Y\nsecrets:\n  z: {environment: Z} # z\n  Y: {environment: Y}\n"},
		"flow":         {"services: {db: {environment: {X: \"${Y}\", A: b}, secrets: [z]}}\nsecrets: {z: {environment: Z}}\n", "services: {db: {environment: {X_FILE: /run/secrets/Y, A: b}, secrets: [z, Y]}}\nsecrets: {z: {environment: Z}, Y: {environment: Y}}\n"},
		"not written":  {"services:\n  db:\n    image: x\n", "services:\n  db:\n    image: x\n    environment:\n      X_FILE: /run/secrets/Y\n    secrets: [Y]\nsecrets:\n  Y: {environment: Y}\n"},
		"listed twice": {"services:\n  db:\n    environment: {X: \"${Y}\"}\n    secrets: [Y]\nsecrets: {Y: {environment: Y}}\n", "services:\n  db:\n    environment: {X_FILE: /run/secrets/Y}\n    secrets: [Y]\nsecrets: {Y: {environment: Y}}\n"},
		"folded":       {"services:\n  db:\n    environment:\n      X: >-\n        ${Y}\n      A: b\n", "services:\n  db:\n    environment:\n      A: b\n      X_FILE: /run/secrets/Y\n    secrets: [Y]\nsecrets:\n  Y: {environment: Y}\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ReadFromFile([]byte(test.in), "db", "X", "Y")
			if diff := cmp.Diff(test.want, string(got)); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestComposeEditsThatWouldChangeMoreAreRefused(t *testing.T) {
	const merged = "x-c: &c {env_file: app.env, environment: {A: b}}\nservices:\n  web: {<<: *c}\n  job: {<<: *c}\n"
	shared := "services:\n  web: {env_file: &e [app.env, b.env], environment: &v {A: b}}\n  job: {env_file: *e, environment: *v}\n"
	for name, in := range map[string]string{"merged": merged, "shared": shared} {
		if got, err := DropEnvFile([]byte(in), "web", isAppEnv); name != "merged" && !errors.Is(err, yamldoc.ErrByHand) {
			t.Errorf("%s: DropEnvFile = %q, %v, want ErrByHand", name, got, err)
		}
		if got, err := SetVariable([]byte(in), "web", "X", "${X}"); name != "merged" && !errors.Is(err, yamldoc.ErrByHand) {
			t.Errorf("%s: SetVariable = %q, %v, want ErrByHand", name, got, err)
		}
	}
	const uses = "x-s: &s [z]\nservices:\n  web: {secrets: *s}\n  job: {secrets: *s}\nsecrets: {z: {environment: Z}}\n"
	if got, err := ReadFromFile([]byte(uses), "web", "X", "Y"); !errors.Is(err, yamldoc.ErrByHand) {
		t.Errorf("ReadFromFile = %q, %v, want ErrByHand", got, err)
	}
}

// FuzzComposeEdit proves that an edit says that it can't, or changes what it is
// for and nothing else.
func FuzzComposeEdit(f *testing.F) {
	f.Add([]byte(designStack))
	f.Add([]byte("services:\n  web:\n    env_file:\n      - path: app.env\n      - b.env\n    environment: [A=b]\n"))
	f.Add([]byte("services: {web: {env_file: [app.env], environment: {A: b}, secrets: [z]}}\nsecrets: {z: {environment: Z}}\n"))
	seeds(f, isStack)
	f.Fuzz(func(t *testing.T, content []byte) {
		edits := map[string]func() ([]byte, error){
			"SetVariable":  func() ([]byte, error) { return SetVariable(content, "web", "X", "${X}") },
			"DropEnvFile":  func() ([]byte, error) { return DropEnvFile(content, "web", isAppEnv) },
			"ReadFromFile": func() ([]byte, error) { return ReadFromFile(content, "web", "X", "Y") },
		}
		for name, edit := range edits {
			got, err := edit()
			if err != nil {
				continue
			}
			root, err := yamldoc.Parse("", got)
			if err != nil {
				t.Fatalf("%s broke the file: %v", name, err)
			}
			if _, err := yamldoc.Flatten(root); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if n := yamldoc.Find(root, "services", "web", "image"); n != nil {
				was, err := yamldoc.Parse("", content)
				if err != nil || yamldoc.Find(was, "services", "web", "image").Value != n.Value {
					t.Errorf("%s changed the image: %v", name, err)
				}
			}
		}
	})
}
