package envimport

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/fault"
	"salvor/internal/needs/needstest"
	"salvor/internal/secret"
)

const notesCompose = "services:\n  web:\n    image: postgres:17\n    env_file: [.env]\n"

// written is a scene whose env file says content.
func written(t *testing.T, content string) scene {
	t.Helper()
	s := scene{Fleet: needstest.New(t, map[string]string{"stacks/notes/compose.yaml": notesCompose}, nil)}
	s.files = []string{filepath.Join(s.Dir, "stacks/notes/.env")}
	s.write(t, s.file(), content)
	return s
}

func (s scene) write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// remove removes the env file.
func (s scene) remove(t *testing.T) {
	t.Helper()
	if err := os.Remove(s.file()); err != nil {
		t.Fatal(err)
	}
}

const secretLine = "POSTGRES_PASSWORD=canary-9f8e7d6c5b4a3921\n"

// TestAFileIsRefused has each reason for which nothing is even looked at, or changed.
func TestAFileIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		content string
		change  func(t *testing.T, s *scene)
		want    string
		hint    string
		code    int
	}{
		"not there": {content: secretLine, change: func(t *testing.T, s *scene) { s.files[0] += ".gone" }, want: ".env.gone: no such file", hint: "salvor secret import stacks/NAME/.env"},
		"a folder":  {content: secretLine, change: func(t *testing.T, s *scene) { s.files[0] = filepath.Dir(s.file()) }, want: "is not a regular file; name the file itself"},
		"a link": {content: secretLine, change: func(t *testing.T, s *scene) {
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(s.file(), link); err != nil {
				t.Fatal(err)
			}
			s.files[0] = link
		}, want: "is not a regular file"},
		"encrypted already": {content: secretLine, change: func(t *testing.T, s *scene) {
			s.files[0] = filepath.Join(s.Dir, "secrets/notes.env")
			if err := os.MkdirAll(filepath.Dir(s.file()), 0o755); err != nil {
				t.Fatal(err)
			}
			s.write(t, s.file(), "x")
		}, want: "files in", hint: "salvor secret ls"},
		"of no stack": {content: secretLine, change: func(t *testing.T, s *scene) {
			s.files[0] = filepath.Join(t.TempDir(), ".env")
			s.write(t, s.file(), secretLine)
		}, want: "which stack do these variables belong to?", hint: "--stack NAME", code: fault.Usage},
		"of a stack that is not there": {content: secretLine, change: func(t *testing.T, s *scene) { s.options.Stacks = []string{"blog"} }, want: "stack blog is not declared"},
		"too large":                    {content: "A=" + strings.Repeat("x", maxEnvFile), want: "an env file is at most 1 MiB"},
		"with nothing in it":           {content: "# a comment\n", want: "does not set a variable"},
		"with a strange name":          {content: "a.b=c\n", want: ".env:1:1: want letters, digits and _ in a variable's name"},
		"which Compose can't read":     {content: "A=\"x\n", want: ".env"},
		"for several stacks, and one secret": {content: secretLine, change: func(t *testing.T, s *scene) {
			s.options.Stacks, s.options.Deliver = []string{"notes", "notes"}, []string{"POSTGRES_PASSWORD"}
		}, want: "--file is about one env file of one stack", code: fault.Usage},
		"a secret for a service that is not there": {content: secretLine, change: func(t *testing.T, s *scene) { s.options.Deliver = []string{"POSTGRES_PASSWORD=db"} }, want: "no such service has a variable whose value is exactly the secret POSTGRES_PASSWORD"},
		"a secret that no image reads from a file": {content: "TOKEN=canary-9f8e7d6c5b4a3921\n", change: func(t *testing.T, s *scene) { s.options.Deliver = []string{"TOKEN"} }, want: "is not known to read TOKEN_FILE", hint: "if its documentation says that it does"},
		"files where no image reads one":           {content: "TOKEN=canary-9f8e7d6c5b4a3921\n", change: func(t *testing.T, s *scene) { s.options.Files = true }, want: "no service of notes is known to read any of these secrets from a file", hint: "run it without --files"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := written(t, test.content)
			if test.change != nil {
				test.change(t, &s)
			}
			before := s.git(t, "status", "--porcelain")
			_, _, err := s.prepare(t, s.open(t))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(fault.Hint(err), test.hint) {
				t.Errorf("%v (%s)", err, fault.Hint(err))
			}
			if code, _ := fault.Code(err); test.code != 0 && code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if err != nil && strings.Contains(err.Error()+fault.Hint(err), "canary") {
				t.Error("the error says a value")
			}
			if now := s.git(t, "status", "--porcelain"); now != before {
				t.Errorf("the working tree changed:\n%s", now)
			}
		})
	}
}

// TestGitRemembersAValue has one of two values in the clear in an earlier commit.
func TestGitRemembersAValue(t *testing.T) {
	t.Parallel()
	s := written(t, secretLine+"OTHER_PASSWORD=canary-1a2b3c4d5e6f7a8b\n")
	s.remove(t)
	s.Commit(t, map[string][]byte{"stacks/notes/.env": []byte(secretLine)})
	s.Commit(t, map[string][]byte{"stacks/notes/.env": nil})
	s.write(t, s.file(), secretLine+"OTHER_PASSWORD=canary-1a2b3c4d5e6f7a8b\n")
	r, _, err := s.prepare(t, s.open(t))
	if err != nil || !slices.Equal(r.Imports[0].InHistory, []string{"POSTGRES_PASSWORD"}) || !slices.Equal(r.Imports[0].Secret, []string{"POSTGRES_PASSWORD", "OTHER_PASSWORD"}) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestACommittedFileIsRemovedByTheCommit imports a file that Git has.
func TestACommittedFileIsRemovedByTheCommit(t *testing.T) {
	t.Parallel()
	s := written(t, secretLine)
	s.remove(t)
	s.Commit(t, map[string][]byte{"stacks/notes/.env": []byte(secretLine)})
	r, p, err := s.prepare(t, s.open(t))
	if err != nil || !slices.Equal(r.Removed, []string{"stacks/notes/.env"}) || r.Outside != nil || r.Staged != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := p.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.file()); !errors.Is(err, os.ErrNotExist) || strings.Contains(s.git(t, "ls-files"), "stacks/notes/.env") {
		t.Errorf("the file is still there: %v", err)
	}
}

// TestAFileOutsideOfTheRepositoryStays imports from a folder that is not Salvor's.
func TestAFileOutsideOfTheRepositoryStays(t *testing.T) {
	t.Parallel()
	s := written(t, secretLine)
	s.remove(t)
	s.Commit(t, map[string][]byte{"stacks/notes/compose.yaml": []byte("services:\n  web:\n    image: postgres:17\n    environment: {POSTGRES_PASSWORD: \"${POSTGRES_PASSWORD:-}\"}\n")})
	s.files[0], s.options.Stacks = filepath.Join(t.TempDir(), "old.env"), []string{"notes"}
	s.write(t, s.file(), secretLine)
	r, p, err := s.prepare(t, s.open(t))
	if err != nil || r.Outside == nil || r.Removed != nil || p.Question != "Import "+s.file()+" into the stack notes?" {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := p.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(s.file()); err != nil || string(content) != secretLine {
		t.Errorf("the file says %q, %v", content, err)
	}
	value, err := s.open(t).identity.Secret(t.Context(), "notes/POSTGRES_PASSWORD")
	if err != nil || !strings.HasSuffix(secretLine, "="+string(value.Reveal())+"\n") {
		t.Errorf("%v", err)
	}
}

// TestNothingIsCommittedThatDoesNotReadBack damages what was encrypted.
func TestNothingIsCommittedThatDoesNotReadBack(t *testing.T) {
	t.Parallel()
	s := written(t, secretLine+"PLAIN=yes\n")
	for name, damage := range map[string]func(b *batch){
		"another value":         func(b *batch) { b.parts[0].entries[0].Value = secret.NewString("canary-other") },
		"a plain variable":      func(b *batch) { b.stacks["notes"].replaced["stacks/notes/stack.env"] = []byte("PLAIN=no\n") },
		"a damaged file":        func(b *batch) { b.files["secrets/notes.env"] = []byte("x") },
		"another's key":         func(b *batch) { b.files["secrets/notes.env"] = foreign(t) },
		"the file is not there": func(b *batch) { delete(b.files, "secrets/notes.env") },
	} {
		m := s.open(t)
		o := s.options
		var err error
		if o.EnvFiles, err = Read(s.files); err != nil {
			t.Fatal(err)
		}
		b := m.batch(o)
		if err := b.prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		damage(b)
		before := m.checkout.Commit
		if _, err := b.run(t.Context(), nil); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
		if now := s.open(t).checkout.Commit; now != before {
			t.Fatalf("%s: %s was committed", name, now)
		}
		if content, err := os.ReadFile(s.file()); err != nil || !bytes.HasPrefix(content, []byte(secretLine)) {
			t.Errorf("%s: the file says %q, %v", name, content, err)
		}
	}
}

// foreign is a file of secrets of another fleet.
func foreign(t *testing.T) []byte {
	t.Helper()
	return needstest.New(t, nil, nil).Encrypt(t, "notes/POSTGRES_PASSWORD", "x")["secrets/notes.env"]
}

func TestWhatAnImageReadsFromFiles(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]bool{
		"postgres": true, "postgres:17": true, "docker.io/library/postgres:17-alpine": true, "docker.io/postgres": true,
		"ghcr.io/postgres": false, "bitnami/postgres": false, "Not An Image": false, "redis": false,
	} {
		if got := readsFile(image, "POSTGRES_PASSWORD"); got != want {
			t.Errorf("%s: %v, want %v", image, got, want)
		}
	}
	if readsFile("postgres", "PGDATA") {
		t.Error("postgres does not read PGDATA from a file")
	}
}
