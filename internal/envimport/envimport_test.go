package envimport

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/exposed"
	"salvor/internal/fault"
	"salvor/internal/git"
	"salvor/internal/needs/needstest"
	"salvor/internal/proposal"
	"salvor/internal/secret"
	"salvor/internal/secret/sops"
)

var update = flag.Bool("update", false, "write the golden files")

// scene is a control repository with the files of an archive, all committed but
// the env files.
type scene struct {
	*needstest.Fleet
	files   []string // to be imported
	apart   []string // that are not committed, besides
	options Options
}

// file is the only env file.
func (s scene) file() string { return s.files[0] }

// prepare reads the env files and prepares their import.
func (s scene) prepare(t *testing.T, m *Importer) (Receipt, proposal.Proposal[Receipt], error) {
	t.Helper()
	o := s.options
	var err error
	if o.EnvFiles, err = Read(s.files); err != nil {
		return Receipt{}, proposal.Proposal[Receipt]{}, err
	}
	return m.Prepare(t.Context(), o)
}

func newScene(t *testing.T, archive *txtar.Archive) scene {
	t.Helper()
	s, files := scene{Fleet: needstest.New(t, nil, nil)}, map[string][]byte{}
	for _, f := range archive.Files {
		switch f.Name {
		case "options":
			s.read(t, strings.Fields(string(f.Data)))
		case "secrets":
			sealed, err := sops.Encrypt("secrets/notes.env", secret.New(f.Data), []string{s.Ann.Recipient, s.Recovery.Recipient})
			if err != nil {
				t.Fatal(err)
			}
			files["secrets/notes.env"] = sealed
		case "want":
		default:
			files[f.Name] = f.Data
		}
	}
	plain := map[string][]byte{}
	for k, name := range s.files {
		plain[name] = files[name]
		if !strings.HasSuffix(name, "stack.env") && !isCompose(name) {
			delete(files, name)
		}
		s.files[k] = filepath.Join(s.Dir, name)
	}
	for _, name := range s.apart {
		plain[name] = files[name]
		delete(files, name)
	}
	s.Commit(t, files)
	for name, content := range plain {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(s.Dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		s.write(t, filepath.Join(s.Dir, name), string(content))
	}
	return s
}

func (s *scene) read(t *testing.T, words []string) {
	t.Helper()
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "--all":
			s.options.All = true
		case "--replace":
			s.options.Replace = true
		case "--files":
			s.options.Files = true
		case "--file":
			i++
			s.options.Deliver = append(s.options.Deliver, words[i])
		case "--stack":
			i++
			s.options.Stacks = append(s.options.Stacks, words[i])
		case "--apart":
			i++
			s.apart = append(s.apart, words[i])
		default:
			s.files = append(s.files, words[i])
		}
	}
}

// open is an importer for the working tree as it is now.
func (s scene) open(t *testing.T) *Importer {
	t.Helper()
	o := s.Open(t, checkout.WorkTree)
	confirmed := confirmation.New(o.Checkout, confirmation.Options{Approve: func(confirmation.Approval) error { return nil }, Needs: o.At})
	confirmed.Rendered(o.Needs)
	o.Checkout.Rules = checkout.Rules{Making: confirmed.Making, Published: confirmed.Published, TakenBack: confirmed.TakenBack}
	return New(o.Checkout, o.Identity, confirmed, exposed.New(o.Checkout, o.Identity, o.Needs, nil))
}

func (s scene) git(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", s.Dir}, args...)...).CombinedOutput()
	if err != nil && len(out) > 0 {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// shown writes down what an operator is shown.
func shown(r Receipt, err error) string {
	var out strings.Builder
	if err != nil {
		fmt.Fprintf(&out, "error: %v\nhint: %s\n", err, fault.Hint(err))
		return out.String()
	}
	for _, i := range r.Imports {
		if len(r.Imports) > 1 {
			fmt.Fprintf(&out, "-- %s into %s\n", i.File, i.Stack)
		}
		fmt.Fprintf(&out, "secret %v\nplain %v\nkept %v\n", i.Secret, i.Plain, i.Kept)
		if len(i.Renamed) > 0 {
			fmt.Fprintf(&out, "renamed %v\n", i.Renamed)
		}
	}
	fmt.Fprintf(&out, "removed %q\n", strings.Join(r.Removed, " "))
	for _, u := range r.Unused {
		fmt.Fprintf(&out, "kept %s: unused %v, used by %v\n", u.File, u.Names, u.Stacks)
	}
	if len(r.Repeated) > 0 {
		fmt.Fprintf(&out, "repeated %v\n", r.Repeated)
	}
	if len(r.Staged) > 0 {
		fmt.Fprintf(&out, "staged %v\n", r.Staged)
	}
	for _, c := range r.Changes {
		fmt.Fprintf(&out, "== %s\n%s", c.Path, c.After)
	}
	return out.String()
}

// TestImport prepares an import, compares what is shown, commits it and looks
// for the values, all of which have "canary" in them.
func TestImport(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) < 15 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s := newScene(t, archive)
			a := s.open(t)
			before := s.git(t, "status", "--porcelain")
			r, p, err := s.prepare(t, a)
			got := strings.ReplaceAll(shown(r, err), s.Dir+"/", "")
			golden(t, name, archive, got)
			if strings.Contains(got, "canary") {
				t.Error("a value is shown")
			}
			if now := s.git(t, "status", "--porcelain"); now != before {
				t.Errorf("preparing changed the working tree:\n%s", now)
			}
			if err == nil {
				s.commit(t, r, p)
			}
		})
	}
}

func golden(t *testing.T, name string, archive *txtar.Archive, got string) {
	t.Helper()
	var want *txtar.File
	for i := range archive.Files {
		if archive.Files[i].Name == "want" {
			want = &archive.Files[i]
		}
	}
	if *update {
		if want == nil {
			archive.Files = append(archive.Files, txtar.File{Name: "want"})
			want = &archive.Files[len(archive.Files)-1]
		}
		want.Data = []byte(got)
		if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want == nil {
		t.Fatal("no golden; run with -update")
	}
	if diff := cmp.Diff(string(want.Data), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// commit proves what is in Git after the import, or in the working tree for the operator's
// commit.
func (s scene) commit(t *testing.T, r Receipt, p proposal.Proposal[Receipt]) {
	t.Helper()
	values := map[string][]byte{} // by STACK/VARIABLE
	for _, i := range r.Imports {
		if isCompose(i.File) {
			continue // that services get the same is proven by the import itself
		}
		content, err := os.ReadFile(i.File)
		if err != nil {
			t.Fatal(err)
		}
		if i.Whole {
			values[strings.TrimPrefix(i.Encrypted, "secrets/")] = content
			continue
		}
		entries, err := parseEntries(i.File, content, func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			as, renamed := i.Renamed[e.Name]
			if !renamed {
				as = e.Name
			}
			values[i.Stack+"/"+as] = e.Value.Reveal()
		}
	}
	done, err := p.Run(t.Context(), nil)
	if diff := cmp.Diff(r, done); err != nil || diff != "" {
		t.Fatalf("%v\n(-shown +done)\n%s", err, diff)
	}
	if n, want := strings.Count(s.git(t, "log", "--format=%s"), "secret import: "), min(1, len(r.Imports)-len(r.Staged)); len(r.Staged) == 0 && n != want {
		t.Errorf("%d commits, want %d", n, want)
	}
	if len(r.Staged) > 0 {
		s.git(t, "add", "-A")
		s.git(t, "-c", "core.hooksPath=/dev/null", "commit", "-q", "-m", "the operator's")
	}
	if status := s.git(t, "status", "--porcelain"); status != "" && len(r.Unused) == 0 {
		t.Errorf("left in the working tree:\n%s", status)
	}
	for _, file := range r.Removed {
		if _, err := os.Stat(filepath.Join(s.Dir, file)); err == nil {
			t.Errorf("%s is still there", file)
		}
	}
	for _, i := range r.Imports {
		for _, name := range i.Secret {
			if !i.Whole {
				name = i.Stack + "/" + name
			}
			got, err := s.open(t).identity.Secret(t.Context(), name)
			want, known := values[name]
			if isCompose(i.File) && !known {
				known = bytes.HasPrefix(got.Reveal(), []byte("canary"))
				want = got.Reveal()
			}
			if err != nil || !known || !bytes.Equal(got.Reveal(), want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for line := range strings.Lines(s.git(t, "grep", "-I", "-n", "canary", "HEAD", "--")) {
		if !strings.Contains(line, "canary-in-clear") {
			t.Errorf("in clear: %s", line)
		}
	}
}

// TestImportLosesNothing changes files between showing and committing.
func TestImportLosesNothing(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/envfiles.txtar")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("the env file", func(t *testing.T) {
		s := newScene(t, archive)
		a := s.open(t)
		_, p, err := s.prepare(t, a)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.file(), []byte("LATER=canary\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "a file was kept") {
			t.Errorf("= %v", err)
		}
		if content, err := os.ReadFile(s.file()); err != nil || string(content) != "LATER=canary\n" {
			t.Errorf("it says %q, %v", content, err)
		}
	})
	t.Run("the Compose file", func(t *testing.T) {
		s := newScene(t, archive)
		a := s.open(t)
		_, p, err := s.prepare(t, a)
		if err != nil {
			t.Fatal(err)
		}
		file, before := filepath.Join(s.Dir, "stacks/notes/compose.yaml"), s.git(t, "rev-parse", "HEAD")
		if err := os.WriteFile(file, []byte("services: {}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Run(t.Context(), nil); !errors.Is(err, git.ErrUncommitted) {
			t.Errorf("= %v, want ErrUncommitted", err)
		}
		if content, err := os.ReadFile(file); err != nil || string(content) != "services: {}\n" {
			t.Errorf("it says %q, %v", content, err)
		}
		if _, err := os.Stat(s.file()); err != nil || s.git(t, "rev-parse", "HEAD") != before {
			t.Errorf("something changed: %v", err)
		}
	})
}
