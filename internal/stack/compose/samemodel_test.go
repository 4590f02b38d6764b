package compose

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"salvor/internal/fleet"
	"salvor/internal/stack"
)

// TestTheSameModelAsCompose loads projects of the kinds that people run as `docker compose
// config` does in their folder, and what Salvor renders of them as it does on a host. Both
// mean the same, but for what Salvor is there for: where data is, and secrets as files.
func TestTheSameModelAsCompose(t *testing.T) {
	archives, err := filepath.Glob("testdata/accepted/*.txtar")
	if err != nil || len(archives) < 15 {
		t.Fatalf("%d projects, %v", len(archives), err)
	}
	for _, archive := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(archive), ".txtar"), func(t *testing.T) {
			t.Parallel()
			content, err := txtar.ParseFile(archive)
			if err != nil {
				t.Fatal(err)
			}
			want := composed(t, content)
			got := rendered(t, content)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-Compose +Salvor)\n%s", diff)
			}
		})
	}
}

// composed is a project as Compose has it, with a `.env` next to it.
func composed(t *testing.T, archive *txtar.Archive) map[string]any {
	t.Helper()
	dir := t.TempDir()
	for _, f := range archive.Files {
		place(t, filepath.Join(dir, f.Name), f.Data)
	}
	return model(t, dir, nil)
}

// rendered is what Salvor makes of it, as the Compose of a host has it: the variables of
// `.env` that the archive's comment names are secrets, the others are in stack.env.
func rendered(t *testing.T, archive *txtar.Archive) map[string]any {
	t.Helper()
	repo, host := t.TempDir(), t.TempDir()
	_, named, _ := strings.Cut(string(archive.Comment), "secret:")
	opts := Options{RepoDir: repo, Stack: fleet.Stack{Name: "app", Dir: "stacks/app", File: "compose.yaml"}, SecretKeys: strings.Fields(named)}
	values := map[string]string{}
	for _, f := range archive.Files {
		if f.Name == ".env" {
			f.Name, f.Data, values = "stack.env", withoutSecrets(f.Data, opts.SecretKeys), secretsOf(t, f.Data, opts.SecretKeys)
		}
		place(t, filepath.Join(repo, "stacks/app", f.Name), f.Data)
	}
	loaded, _, err := Load(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	place(t, filepath.Join(host, "compose.yaml"), loaded.Project.Compose)
	for _, f := range loaded.Project.Files {
		place(t, filepath.Join(host, f.Path), f.Data)
	}
	return model(t, host, values)
}

func place(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// secretsOf are the values of a `.env`'s secrets.
func secretsOf(t *testing.T, content []byte, keys []string) map[string]string {
	t.Helper()
	all, err := dotenv.UnmarshalBytesWithLookup(content, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(all, func(key, _ string) bool { return !slices.Contains(keys, key) })
	return all
}

// withoutSecrets are the lines of a `.env` that set none of the secrets.
func withoutSecrets(content []byte, keys []string) []byte {
	var kept bytes.Buffer
	for line := range bytes.Lines(content) {
		if name, _, _ := strings.Cut(string(line), "="); !slices.Contains(keys, name) {
			kept.Write(line)
		}
	}
	return kept.Bytes()
}

// model is the project of a folder in a comparable form.
func model(t *testing.T, dir string, env map[string]string) map[string]any {
	t.Helper()
	options, err := cli.NewProjectOptions(nil, cli.WithWorkingDirectory(dir), func(o *cli.ProjectOptions) error {
		o.Environment["PWD"] = "/project"
		maps.Copy(o.Environment, env)
		return nil
	}, cli.WithEnvFiles(), cli.WithDotEnv, filesBelow(dir), cli.WithConfigFileEnv, cli.WithDefaultConfigPath, cli.WithDefaultProfiles(), cli.WithName("app"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{"networks": decoded(t, p.Networks), "volumes": decoded(t, p.Volumes)}
	for name, s := range p.Services {
		all["service "+name] = decoded(t, stripped(t, p, s))
	}
	return all
}

// filesBelow has COMPOSE_FILE name files of a folder, whatever folder the test runs in.
func filesBelow(dir string) cli.ProjectOptionsFn {
	return func(o *cli.ProjectOptions) error {
		if listed := o.Environment["COMPOSE_FILE"]; listed != "" {
			o.Environment["COMPOSE_FILE"] = dir + "/" + strings.ReplaceAll(listed, ":", ":"+dir+"/")
		}
		return nil
	}
}

// stripped takes out of a service what Salvor renders otherwise on purpose.
func stripped(t *testing.T, p *types.Project, s types.ServiceConfig) types.ServiceConfig {
	t.Helper()
	s.EnvFiles, s.LabelFiles, s.Secrets, s.Profiles, s.Develop = nil, nil, nil, nil, nil
	delete(s.Labels, stack.FilesLabel)
	if len(s.Labels) == 0 {
		s.Labels = nil
	}
	s.Volumes = slices.DeleteFunc(slices.Clone(s.Volumes), func(v types.ServiceVolumeConfig) bool {
		return v.Target == stack.GateTarget || strings.HasPrefix(v.Source, "/run/salvor/")
	})
	for i := range s.Volumes {
		if v := &s.Volumes[i]; v.Type == types.VolumeTypeBind && !strings.HasPrefix(v.Source, "/etc/") {
			v.Source = strings.TrimSuffix(v.Source, "/")
			v.Source = v.Source[strings.LastIndexAny(v.Source, "/@")+1:] // ./data is @data below Salvor's folder
		}
	}
	if s.Build != nil {
		build := *s.Build
		build.Context, build.Secrets = "", nil
		s.Build = &build
	}
	for i, c := range s.Configs {
		if decl := p.Configs[c.Source]; decl.File != "" {
			content, err := os.ReadFile(decl.File)
			if err != nil {
				t.Fatal(err)
			}
			s.Configs[i].Source = string(content)
		} else {
			s.Configs[i].Source = decl.Content + decl.Environment
		}
	}
	return s
}

func decoded(t *testing.T, v any) any {
	t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(content, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
