package controlrepo

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"salvor/internal/fleet"
	"salvor/internal/yamldoc"
)

// seeds adds the files of testdata/bad whose names match, as seeds.
func seeds(f *testing.F, matches func(name string) bool) {
	files, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range files {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if matches(file.Name) {
				f.Add(file.Data)
			}
		}
	}
}

func isStack(name string) bool { return strings.HasPrefix(name, "stacks/") }

// checkPlaces fails when a problem has no file or a place outside the content.
func checkPlaces(t *testing.T, err error, content []byte) {
	t.Helper()
	lines := bytes.Count(content, []byte("\n")) + bytes.Count(content, []byte("\r")) + strings.Count(string(content), "\u0085") + strings.Count(string(content), "\u2028") + strings.Count(string(content), "\u2029") + 2
	for _, p := range yamldoc.Problems(err) {
		if p.Position.File == "" || p.Position.Line < 0 || p.Position.Line > lines || p.Text == "" {
			t.Errorf("a problem at %v in a file of %d lines: %q", p.Position, lines, p.Text)
		}
	}
	if err != nil && !errors.Is(err, ErrNotFound) && len(yamldoc.Problems(err)) == 0 {
		t.Errorf("no problem in %v", err)
	}
}

func FuzzFleet(f *testing.F) {
	f.Add([]byte(designFleet))
	seeds(f, func(name string) bool { return name == fleet.File })
	f.Fuzz(func(t *testing.T, content []byte) {
		repo, err := load(fstest.MapFS{fleet.File: {Data: content}}, "0.1.0")
		checkPlaces(t, err, content)
		if err == nil && fleet.ValidName(repo.Fleet.Name) != nil {
			t.Errorf("accepted the name %q", repo.Fleet.Name)
		}
	})
}

func FuzzStack(f *testing.F) {
	f.Add([]byte(designStack))
	seeds(f, isStack)
	f.Fuzz(func(t *testing.T, content []byte) {
		_, err := load(fstest.MapFS{fleet.File: {Data: []byte(designFleet)}, "stacks/s/compose.yaml": {Data: content}}, "")
		checkPlaces(t, err, content)
	})
}

func FuzzHostFiles(f *testing.F) {
	f.Add([]byte("192.0.2.10 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDxYm0jp3dPpuGwfrC9b8S8bzmrlFrfyeXFRfFxEkJJ4\n" + testRecipient))
	seeds(f, func(name string) bool { return strings.HasPrefix(name, "hosts/") })
	f.Fuzz(func(t *testing.T, content []byte) {
		problems := &yamldoc.Report{}
		for _, line := range decodeAuthorizedKeys(fleet.AuthorizedKeysFile, content, problems) {
			if strings.ContainsAny(line, "\r\n") {
				t.Errorf("a key of two lines: %q", line)
			}
		}
		for _, k := range decodeKnownHosts(fleet.KnownHostsFile, content, problems) {
			if k.Type == "" || len(k.Key) == 0 || len(k.Patterns) == 0 {
				t.Errorf("accepted %+v", k)
			}
		}
		decodeHostKeys("hosts/a.pub", content, problems)
		RemoveHostKeys(content, "alpha")
		checkPlaces(t, problems.Err(), content)
	})
}
