package compose

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
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
		"build.dockerfile":             "services: {a: {build: {context: ctx, dockerfile: ENV}}}\n",
		"build.dockerfile on the way":  "services: {a: {build: {context: ctx, dockerfile: x/../ENV}}}\n",
		"build.dockerfile, absolute":   "services: {a: {build: {context: ctx, dockerfile: ABS}}}\n",
		"build.additional_contexts":    "services: {a: {build: {context: ctx, additional_contexts: {x: DIR}}}}\n",
		"credential_spec.file":         "services: {a: {image: nginx, credential_spec: {file: ENV}}}\n",
		"build.context with a colon":   "services: {a: {build: {context: \"x:/../DIR\"}}}\n",
		"additional_contexts, a colon": "services: {a: {build: {context: ctx, additional_contexts: {x: \"x:/../DIR\"}}}}\n",
		"additional_contexts, OCI":     "services: {a: {build: {context: ctx, additional_contexts: {x: \"oci-layout://DIR\"}}}}\n",
		"additional_contexts, file":    "services: {a: {build: {context: ctx, additional_contexts: {x: \"file://ABS\"}}}}\n",
		"additional_contexts, a link":  "services: {a: {build: {context: ctx, additional_contexts: {x: linked}}}}\n",
		"build.context of a link":      "services: {a: {build: {context: linked}}}\n",
		"build.ssh":                    "services: {a: {build: {context: ctx, ssh: [\"key=ABS\"]}}}\n",
		"build.ssh as a map":           "services: {a: {build: {context: ctx, ssh: {key: ENV}}}}\n",
		"build.ssh, the agent's":       "services: {a: {build: {context: ctx, ssh: [default]}}}\n",
		"build.cache_from":             "services: {a: {build: {context: ctx, cache_from: [\"type=local,src=DIR\"]}}}\n",
		"build.cache_to":               "services: {a: {build: {context: ctx, cache_to: [\"dest=DIR,\\\"type=local\\\"\"]}}}\n",
		"build of an idle service":     "services: {a: {profiles: [x], build: {context: ctx, ssh: [default]}}}\n",
		"security_opt":                 "services: {a: {image: nginx, security_opt: [\"seccomp=ENV\"]}}\n",
		"security_opt with a colon":    "services: {a: {image: nginx, security_opt: [\"seccomp:ABS\"]}}\n",
		"provider":                     "services: {a: {provider: {type: evil, options: {file: ENV}}}}\n",
		"provider that is extended":    "services: {a: {extends: {service: b}}, b: {provider: {type: ./evil}}}\n",
		"models":                       "services: {a: {image: nginx, models: [m]}}\nmodels: {m: {model: ai/x}}\n",
		"use_api_socket":               "services: {a: {image: nginx, use_api_socket: true}}\n",
		"volumes_from":                 "services: {a: {image: nginx, volumes_from: [\"container:other-web-1\"]}}\n",
		"pre_start.volumes":            "services: {a: {image: nginx, pre_start: [{command: [x], volumes: [\"DIR:/x\"]}]}}\n",
		"jobs.volumes":                 "services: {a: {image: nginx}}\njobs: {j: {triggers: {manual: true}, image: nginx, volumes: [\"DIR:/x\"]}}\n",
		"jobs.env_file":                "services: {a: {image: nginx}}\njobs: {j: {triggers: {manual: true}, image: nginx, env_file: ENV}}\n",
		"jobs.build":                   "services: {a: {image: nginx}}\njobs: {j: {triggers: {manual: true}, build: {context: DIR}}}\n",
		"develop.watch.path":           "services: {a: {image: nginx, develop: {watch: [{path: DIR, action: rebuild}]}}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := t.TempDir()
			dir := filepath.Join(repo, "stacks", "app")
			if err := os.MkdirAll(filepath.Join(dir, "ctx"), 0o755); err != nil {
				t.Fatal(err)
			}
			fill := strings.NewReplacer("YAML", up(repo, "private.yaml"), "ENV", up(repo, "private.env"), "DIR", up(repo, ""), "ABS", filepath.Join(outside, "private.yaml"))
			for file, content := range map[string]string{
				"compose.yaml": fill.Replace(file), "inner.yaml": inner, "ctx/Dockerfile": "FROM scratch\n",
				"outer.yaml": fill.Replace("include: [YAML]\n"), "stack.env": fill.Replace("UP=YAML\n"),
			} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for link, to := range map[string]string{"link.yaml": "private.yaml", "link.env": "private.env", "linked": ""} {
				if err := os.Symlink(filepath.Join(outside, to), filepath.Join(dir, link)); err != nil {
					t.Fatal(err)
				}
			}
			loaded, _, err := Load(t.Context(), Options{RepoDir: repo, Stack: fleet.Stack{Name: "app", Dir: "stacks/app", File: "compose.yaml"}})
			if err == nil {
				t.Fatalf("it was loaded:\n%s", loaded.Project.Compose)
			}
			if strings.Contains(err.Error(), "value-from-the-operators-disk") || strings.Contains(err.Error(), "link.yaml is a link") && !strings.Contains(file, "link.yaml") || !strings.Contains(err.Error(), "stacks/app/") {
				t.Errorf("the error shows the content, or no place: %v", err)
			}
		})
	}
}

// TestS08OtherFoldersOfTheCommitStayUsable includes and extends files next to the
// stack's folder, with their own env_file.
func TestS08OtherFoldersOfTheCommitStayUsable(t *testing.T) {
	t.Parallel()
	loaded := loadApp(t, map[string]string{
		"stacks/app/compose.yaml": "include: [{path: ../../shared/in.yaml, env_file: ../../shared/in.env}]\nservices: {a: {extends: {file: ../../shared/base.yaml, service: b}, env_file: ../../shared/in.env}}\n",
		"shared/in.yaml":          "include: [deeper/in.yaml]\nservices: {in: {image: nginx, environment: {FROM: \"${A}\"}}}\n",
		"shared/deeper/in.yaml":   "services: {deeper: {image: nginx, extends: {file: ../base.yaml, service: b}}}\n",
		"shared/base.yaml":        "services: {b: {image: nginx, environment: {BASE: \"yes\"}}}\n",
		"shared/in.env":           "A=shared\n",
	})
	for _, want := range []string{"FROM: shared", "BASE: 'yes'", "deeper:"} {
		if !strings.Contains(string(loaded.Project.Compose), want) {
			t.Errorf("the project has no %q:\n%s", want, loaded.Project.Compose)
		}
	}
}

// TestS08WhatTheCommitHasIsBuilt from other folders of the commit, with a seccomp
// profile, contexts that are not folders, and a cache in a registry.
func TestS08WhatTheCommitHasIsBuilt(t *testing.T) {
	t.Parallel()
	loaded := loadApp(t, map[string]string{
		"stacks/app/compose.yaml": "services: {a: {security_opt: [\"seccomp:./profile.json\", \"no-new-privileges:true\"], build: {context: ../../shared, additional_contexts: {b: \"service:b\", c: \"docker-image://alpine\", d: more}, cache_from: [\"type=registry,ref=r.example/a\", r.example/b]}}, b: {build: {context: ../../shared}, security_opt: [\"seccomp=unconfined\"]}}\n",
		"stacks/app/profile.json": "{}\n",
		"stacks/app/more/x":       "x\n",
		"shared/Dockerfile":       "FROM scratch\n",
	})
	for _, want := range []string{"seccomp=./profile.json", "seccomp=unconfined", "no-new-privileges:true", "b: service:b", "c: docker-image://alpine", "d: ./_repo/stacks/app/more", "context: ./_repo/shared", "r.example/b"} {
		if !strings.Contains(string(loaded.Project.Compose), want) {
			t.Errorf("the project has no %q:\n%s", want, loaded.Project.Compose)
		}
	}
	var files []string
	for _, f := range loaded.Project.Files {
		files = append(files, f.Path)
	}
	if got := strings.Join(files, " "); got != "_repo/shared/Dockerfile _repo/stacks/app/more/x profile.json" {
		t.Errorf("the host gets %s", got)
	}
}

// TestS08AVolumeThatIsAFolderOfTheHostIsClassified however its options say so.
func TestS08AVolumeThatIsAFolderOfTheHostIsClassified(t *testing.T) {
	t.Parallel()
	for _, options := range []string{
		"type: none, o: bind, device: /etc", "type: none, o: \"bind,ro\", device: /etc", "type: none, o: \"ro, bind\", device: /etc", "o: rbind, device: /etc",
		"type: tmpfs, o: bind, device: /etc", "type: nfs, o: \"ro,bind\", device: /etc", "type: ext4, device: /dev/sda1", "type: overlay, device: overlay, o: \"lowerdir=/etc,upperdir=/srv/u,workdir=/srv/w\"",
	} {
		repo := t.TempDir()
		if err := os.MkdirAll(filepath.Join(repo, "stacks/app"), 0o755); err != nil {
			t.Fatal(err)
		}
		content := "services: {a: {image: nginx, volumes: [\"conf:/v\"]}}\nvolumes: {conf: {driver_opts: {" + options + "}}}\n"
		if err := os.WriteFile(filepath.Join(repo, "stacks/app/compose.yaml"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, found, err := Load(t.Context(), Options{RepoDir: repo, Stack: fleet.Stack{Name: "app", Dir: "stacks/app", File: "compose.yaml"}})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(found, func(f finding.Finding) bool {
			return f.Code == finding.MountUnclassified && strings.Contains(f.Text, "volume conf belongs")
		}) {
			t.Errorf("%s: %v", options, found)
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

// loadApp loads the stack in stacks/app of a repository with these files.
func loadApp(t *testing.T, files map[string]string) *project.Rendered {
	t.Helper()
	repo := t.TempDir()
	for file, content := range files {
		path := filepath.Join(repo, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	loaded, _, err := Load(t.Context(), Options{RepoDir: repo, Stack: fleet.Stack{Name: "app", Dir: "stacks/app", File: "compose.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}
