package rendering

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/yamldoc"
)

// source is what the stacks of some files are rendered from.
func source(t *testing.T, files map[string]string) Source {
	t.Helper()
	dir := t.TempDir()
	files[fleet.File] = "schema: 1\nfleet: home\nhosts:\n  alpha: {address: 192.0.2.10}\n"
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	repo, err := controlrepo.Load(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	return Source{Dir: dir, Repository: repo, Names: NamesOf(os.DirFS(dir), repo.Fleet)}
}

// of are the findings about one stack.
func of(found []finding.Finding, stack string) []finding.Finding {
	var about []finding.Finding
	for _, f := range found {
		if f.Stack == stack {
			about = append(about, f)
		}
	}
	return about
}

const web = "x-salvor: {host: alpha}\nservices:\n  web: {image: \"nginx:1\"}\n"

// TestOneStackStopsNoOther: what does not load has a finding with its place, and is not
// rendered; the others are.
func TestOneStackStopsNoOther(t *testing.T) {
	t.Parallel()
	s := source(t, map[string]string{
		"stacks/good/compose.yaml":    web,
		"stacks/other/compose.yaml":   strings.ReplaceAll(web, "web", "other"),
		"stacks/lacks/compose.yaml":   "x-salvor: {host: alpha}\nservices:\n  web: {image: \"nginx:1\", environment: {A: \"${MISSING:?it is needed}\"}}\n",
		"stacks/torn/compose.yaml":    "x-salvor: {host: alpha}\nservices: {web: {image: \"nginx:1\"\n",
		"stacks/unknown/compose.yaml": "x-salvor: {host: alpha, rpo: soon}\nservices:\n  web: {image: \"nginx:1\"}\n",
	})
	rendered, found, err := Stacks(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for stack, want := range map[string]string{"good": "", "other": "", "lacks": "it is needed", "torn": "the bracket that begins here is not closed", "unknown": `"soon" is not a duration`} {
		r, is := rendered[stack]
		about := of(found, stack)
		if is != (want == "") || Broken(found, stack) != (want != "") || is && r.Project.Hash == "" {
			t.Errorf("%s: rendered %v, found %+v", stack, is, about)
		}
		err := Error(found, stack)
		if (err != nil) != (want != "") || err != nil && (!strings.Contains(err.Error(), "stack "+stack+" does not load: ") || !strings.Contains(err.Error(), want) || fault.Hint(err) == "") {
			t.Errorf("%s: %v, hint %q", stack, err, fault.Hint(err))
		}
		for _, f := range about {
			if f.Code != finding.StackBroken || !strings.HasPrefix(f.Subject, "stacks/"+stack) {
				t.Errorf("%s: %+v", stack, f)
			}
		}
	}
	if rendered["good"].Project.Hash == rendered["other"].Project.Hash {
		t.Error("two stacks are one")
	}
}

// TestTheSameFilesRenderAlike: again, and whatever folder they are in.
func TestTheSameFilesRenderAlike(t *testing.T) {
	t.Parallel()
	var hashes []string
	for range 2 {
		rendered, _, err := Stacks(t.Context(), source(t, map[string]string{"stacks/good/compose.yaml": web}))
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, rendered["good"].Project.Hash)
	}
	if hashes[0] == "" || hashes[0] != hashes[1] {
		t.Errorf("%q", hashes)
	}
}

// TestLook: what is found about a rendered stack is added; what is fatal keeps it from being
// deployed, and is about it.
func TestLook(t *testing.T) {
	t.Parallel()
	for severity, renders := range map[finding.Severity]bool{finding.Info: true, finding.Fatal: false} {
		s := source(t, map[string]string{"stacks/good/compose.yaml": web, "stacks/other/compose.yaml": web})
		s.Look = func(st fleet.Stack, r project.Rendered) []finding.Finding {
			if st.Name != "good" || r.Project.Hash == "" {
				return nil
			}
			return []finding.Finding{{Code: finding.SecretInClear, Severity: severity, Subject: "x", Text: "looked at"}}
		}
		rendered, found, err := Stacks(t.Context(), s)
		if _, is := rendered["good"]; err != nil || is != renders || len(found) != 1 || (found[0].Stack == "good") == renders {
			t.Errorf("severity %v: rendered %v, found %+v, %v", severity, is, found, err)
		}
		if _, is := rendered["other"]; !is {
			t.Errorf("severity %v: the other is not rendered", severity)
		}
	}
}

// unreadable are names of secrets that can't be listed.
type unreadable struct{ err error }

// EnvNames implements Names.
func (u unreadable) EnvNames(string) ([]string, error) { return nil, u.err }

// Unfiled implements Names.
func (u unreadable) Unfiled() ([]string, error) { return nil, nil }

// DeliverableTo implements Names.
func (u unreadable) DeliverableTo(string, string) error { return u.err }

// TestNamesThatCannotBeRead break the stack whose they are.
func TestNamesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := source(t, map[string]string{"stacks/good/compose.yaml": web})
	s.Names = unreadable{fault.WithHint(errors.New("secrets/good.env: it is not a SOPS file"), "salvor secret edit good")}
	rendered, found, err := Stacks(t.Context(), s)
	if err != nil || len(rendered) > 0 || len(found) != 1 || found[0].Subject != "secrets/good.env" || found[0].Text != "it is not a SOPS file" || found[0].Fix != "salvor secret edit good" || found[0].Stack != "good" {
		t.Errorf("%+v, %+v, %v", rendered, found, err)
	}
}

func TestNothingIsRenderedOnceItIsGivenUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if rendered, found, err := Stacks(ctx, source(t, map[string]string{"stacks/good/compose.yaml": web})); !errors.Is(err, context.Canceled) || rendered != nil || found != nil {
		t.Errorf("%+v, %+v, %v", rendered, found, err)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	found := Problems("good", []*yamldoc.Problem{{Position: yamldoc.Position{File: "stacks/good/compose.yaml", Line: 3, Column: 5}, Text: "unknown key", Advice: "remove it"}})
	want := finding.Finding{Code: finding.StackBroken, Severity: finding.Fatal, Subject: "stacks/good/compose.yaml:3:5", Text: "unknown key", Fix: "remove it", Stack: "good"}
	if len(found) != 1 || found[0] != want {
		t.Errorf("%+v, want %+v", found, want)
	}
	if err := Error(found, "other"); err != nil {
		t.Errorf("another stack: %v", err)
	}
	found[0].Fix = ""
	if err := Error(found, "good"); fault.Hint(err) != "salvor check" {
		t.Errorf("hint %q", fault.Hint(err))
	}
}
