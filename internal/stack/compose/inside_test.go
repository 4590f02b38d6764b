package compose

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/fleet"
)

// TestS08EveryPathStaysInTheCommit has every key of a Compose file that names a file
// lead out of the repository.
func TestS08EveryPathStaysInTheCommit(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	private := "services: {db: {image: nginx, environment: {PRIVATE: value-from-the-operators-disk}}}\n"
	for name, content := range map[string]string{"private.yaml": private, "private.env": "A=value-from-the-operators-disk\n"} {
		if err := os.WriteFile(filepath.Join(outside, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	up := func(repo, name string) string {
		rel, err := filepath.Rel(filepath.Join(repo, "stacks", "app"), filepath.Join(outside, name))
		if err != nil {
			t.Fatal(err)
		}
		return rel
	}
	const inner = "services: {in: {image: nginx, environment: {A: \"${A:-}\"}}}\n"
	for name, file := range map[string]string{
		"include":                      "include: [YAML]\n",
		"include.path":                 "include: [{path: YAML}]\n",
		"include.path, second":         "include: [{path: [inner.yaml, YAML]}]\n",
		"include.env_file":             "include: [{path: inner.yaml, env_file: ENV}]\n",
		"include.env_file in a list":   "include: [{path: inner.yaml, env_file: [ENV]}]\n",
		"include.project_directory":    "include: [{path: inner.yaml, project_directory: DIR}]\n",
		"include by a variable":        "include: [\"${UP}\"]\n",
		"include of an include":        "include: [outer.yaml]\n",
		"include in a second document": "services: {a: {image: nginx}}\n---\ninclude: [YAML]\n",
		"include of a link":            "include: [link.yaml]\n",
		"include of a URL":             "include: [\"https://evil.example/x.yaml\"]\n",
		"include of a home":            "include: [\"~/x.yaml\"]\n",
		"include, absolute":            "include: [ABS]\n",
		"include, escaped":             "x-a: !reset {a: 1, a: 2}\n\"incl\\u0075de\": [{path: inner.yaml, env_file: ENV}]\n",
		"extends, escaped":             "x-a: !reset {a: 1, a: 2}\nservices: {a: {\"ext\\u0065nds\": {file: YAML, service: db}}}\n",
		"extends, an odd key":          "x-a: !reset {? [1] : 2}\nservices: {a: {\"ext\\u0065nds\": {file: YAML, service: db}}}\n",
		"extends.file":                 "services: {a: {extends: {file: YAML, service: db}}}\n",
		"extends.file by an anchor":    "x-a: &a {extends: {file: YAML, service: db}}\nservices: {a: {<<: *a}}\n",
		"extends.file, absolute":       "services: {a: {extends: {file: ABS, service: db}}}\n",
		"env_file":                     "services: {a: {image: nginx, env_file: ENV}}\n",
		"env_file of a link":           "services: {a: {image: nginx, env_file: link.env}}\n",
		"label_file":                   "services: {a: {image: nginx, label_file: ENV}}\n",
		"label_file of a link":         "services: {a: {image: nginx, label_file: link.env}}\n",
		"pre_start.env_file":           "services: {a: {image: nginx, pre_start: [{command: [x], env_file: ENV}]}}\n",
		"pre_start.label_file":         "services: {a: {image: nginx, pre_start: [{command: [x], label_file: ENV}]}}\n",
		"configs.file":                 "services: {a: {image: nginx, configs: [c]}}\nconfigs: {c: {file: ENV}}\n",
		"secrets.file":                 "services: {a: {image: nginx, secrets: [c]}}\nsecrets: {c: {file: ENV}}\n",
		"build.context":                "services: {a: {build: {context: DIR}}}\n",
		"build.dockerfile":             "services: {a: {build: {context: ., dockerfile: ENV}}}\n",
		"build.dockerfile on the way":  "services: {a: {build: {context: ., dockerfile: x/../ENV}}}\n",
		"build.dockerfile, absolute":   "services: {a: {build: {context: ., dockerfile: ABS}}}\n",
		"build.additional_contexts":    "services: {a: {build: {context: ., additional_contexts: {x: DIR}}}}\n",
		"credential_spec.file":         "services: {a: {image: nginx, credential_spec: {file: ENV}}}\n",
		"develop.watch.path":           "services: {a: {image: nginx, develop: {watch: [{path: DIR, action: rebuild}]}}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := t.TempDir()
			dir := filepath.Join(repo, "stacks", "app")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			fill := strings.NewReplacer("YAML", up(repo, "private.yaml"), "ENV", up(repo, "private.env"), "DIR", up(repo, ""), "ABS", filepath.Join(outside, "private.yaml"))
			for file, content := range map[string]string{
				"compose.yaml": fill.Replace(file), "inner.yaml": inner, "Dockerfile": "FROM scratch\n",
				"outer.yaml": fill.Replace("include: [YAML]\n"), "stack.env": fill.Replace("UP=YAML\n"),
			} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for link, to := range map[string]string{"link.yaml": "private.yaml", "link.env": "private.env"} {
				if err := os.Symlink(filepath.Join(outside, to), filepath.Join(dir, link)); err != nil {
					t.Fatal(err)
				}
			}
			loaded, _, err := Load(t.Context(), Options{RepoDir: repo, Stack: fleet.Stack{Name: "app", Dir: "stacks/app", File: "compose.yaml"}})
			if err == nil {
				t.Fatalf("it was loaded:\n%s", loaded.Project.Compose)
			}
			if strings.Contains(err.Error(), "value-from-the-operators-disk") || !strings.Contains(err.Error(), "stacks/app/") {
				t.Errorf("the error shows the content, or no place: %v", err)
			}
		})
	}
}

// TestS08OtherFoldersOfTheCommitStayUsable includes and extends what lies beside the
// stack's folder, with an env_file of its own.
func TestS08OtherFoldersOfTheCommitStayUsable(t *testing.T) {
	t.Parallel()
	repo := t.TempDir()
	for file, content := range map[string]string{
		"stacks/app/compose.yaml": "include: [{path: ../../shared/in.yaml, env_file: ../../shared/in.env}]\nservices: {a: {extends: {file: ../../shared/base.yaml, service: b}, env_file: ../../shared/in.env}}\n",
		"shared/in.yaml":          "include: [deeper/in.yaml]\nservices: {in: {image: nginx, environment: {FROM: \"${A}\"}}}\n",
		"shared/deeper/in.yaml":   "services: {deeper: {image: nginx, extends: {file: ../base.yaml, service: b}}}\n",
		"shared/base.yaml":        "services: {b: {image: nginx, environment: {BASE: \"yes\"}}}\n",
		"shared/in.env":           "A=shared\n",
	} {
		path := filepath.Join(repo, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	loaded, _, err := Load(t.Context(), Options{RepoDir: repo, Stack: fleet.Stack{Name: "app", Dir: "stacks/app", File: "compose.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"FROM: shared", "BASE: 'yes'", "deeper:"} {
		if !strings.Contains(string(loaded.Project.Compose), want) {
			t.Errorf("the project has no %q:\n%s", want, loaded.Project.Compose)
		}
	}
}

func FuzzResolvePath(f *testing.F) {
	for _, seed := range []string{"a", "../b/c", "../../x", "../../../x", "/etc/passwd", "~/x", "https://x", "a/../../..", ".", "..", "a//b", "a\x00b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		repoPath, err := resolvePath("stacks/app", name)
		if err == nil && (!filepath.IsLocal(repoPath) || filepath.IsAbs(name)) {
			t.Errorf("%q resolves to %q", name, repoPath)
		}
	})
}
