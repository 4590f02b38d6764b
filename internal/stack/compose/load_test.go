package compose

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"salvor/internal/fault"
	"salvor/internal/fleet"
)

var update = flag.Bool("update", false, "write the golden files")

// corpusStack reads a folder of testdata/corpus: a repository with one stack
// "app" and, in stack.yaml, what controlrepo would read from x-salvor.
func corpusStack(t *testing.T, repo string) Options {
	t.Helper()
	var in struct {
		Dir     string
		File    string
		Secrets []string
		Vars    map[string]string
		Volumes []struct{ Volume, Protect, Consistent string }
		Change  []struct{ Service, Policy string }
		Rotate  []struct {
			Service string
			Argv    []string
		}
	}
	if content, err := os.ReadFile(filepath.Join(repo, "stack.yaml")); err == nil {
		if err := yaml.Unmarshal(content, &in); err != nil {
			t.Fatal(err)
		}
	}
	opts := Options{RepoDir: repo, Vars: in.Vars, SecretKeys: in.Secrets,
		Stack: fleet.Stack{Name: "app", Dir: "stacks/app", File: "compose.yaml", ProjectDir: in.Dir}}
	if in.File != "" {
		opts.Stack.File = in.File
	}
	for i, v := range in.Volumes {
		opts.Stack.Volumes = append(opts.Stack.Volumes, fleet.VolumePolicy{Volume: v.Volume, Protect: fleet.Protection(v.Protect),
			Consistent: fleet.Method(v.Consistent), Position: fmt.Sprintf("stacks/app/compose.yaml:%d:5", i+3)})
	}
	for i, c := range in.Change {
		opts.Stack.OnChange = append(opts.Stack.OnChange, fleet.ServiceChange{Service: c.Service, Policy: fleet.OnChange(c.Policy), Position: fmt.Sprintf("stacks/app/compose.yaml:%d:5", i+3)})
	}
	for i, c := range in.Rotate {
		opts.Stack.OnRotate = append(opts.Stack.OnRotate, fleet.ServiceCommand{Service: c.Service, Argv: c.Argv, Position: fmt.Sprintf("stacks/app/compose.yaml:%d:5", i+3)})
	}
	return opts
}

// result writes down everything Load returned, for people to review.
func result(t *testing.T, opts Options) string {
	t.Helper()
	loaded, findings, err := Load(t.Context(), opts)
	var b strings.Builder
	if err != nil {
		fmt.Fprintf(&b, "error: %v\n  fix: %s\n", err, fault.Hint(err))
		return b.String()
	}
	for _, f := range findings {
		fmt.Fprintf(&b, "%s %s\n  fix: %s\n", f.Severity, f, f.Fix)
	}
	p := loaded.Project
	b.Write(p.Compose)
	b.WriteString("---\n")
	p.Compose, p.Hash = nil, ""
	for i := range p.Files {
		fmt.Fprintf(&b, "file %s %o %d bytes\n", p.Files[i].Path, p.Files[i].Mode, len(p.Files[i].Data))
	}
	p.Files = nil
	for _, v := range []any{p, loaded.Volumes} {
		var out bytes.Buffer
		enc := json.NewEncoder(&out)
		enc.SetIndent("", " ")
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		b.Write(out.Bytes())
	}
	return b.String()
}

func TestLoadCorpus(t *testing.T) {
	repos, err := filepath.Glob("testdata/corpus/*")
	if err != nil || len(repos) < 15 {
		t.Fatalf("the corpus has %d stacks, want at least 15 (%v)", len(repos), err)
	}
	for _, repo := range repos {
		t.Run(filepath.Base(repo), func(t *testing.T) {
			got := result(t, corpusStack(t, repo))
			if again := result(t, corpusStack(t, repo)); again != got {
				t.Errorf("loading twice differs:\n%s", cmp.Diff(got, again))
			}
			golden := filepath.Join(repo, "want.txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
