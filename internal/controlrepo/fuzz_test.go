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
	"salvor/internal/lockfile"
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

func FuzzLock(f *testing.F) {
	seeds(f, func(name string) bool { return name == lockfile.Name })
	f.Add([]byte(`{"schema":1,"stacks":{"a":{"host":"b","epoch":1,"repositories":{"t":"b"},"former":{"t":["a"]},"images":{"s":"x@sha256:0"},"volumes":{"v":{"born":"2026-01-02T03:04:05Z"}}}}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		lock, err := lockfile.Decode(content)
		checkPlaces(t, err, content)
		if err != nil {
			return
		}
		once, err := lockfile.Encode(lock)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := lockfile.Decode(once)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if twice, err := lockfile.Encode(again); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("not deterministic: %v", err)
		}
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
		checkPlaces(t, problems.Err(), content)
	})
}

// FuzzEdit proves that an edit either says that it cannot, or leaves a file
// that names the host and otherwise says what it said.
func FuzzEdit(f *testing.F) {
	f.Add([]byte(designStack))
	seeds(f, isStack)
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := SetStackHost(content, "beta")
		if err != nil {
			return
		}
		root, err := yamldoc.Parse("", got)
		if err != nil {
			t.Fatalf("the edit broke the file: %v", err)
		}
		after, err := yamldoc.Flatten(root)
		if err != nil || after[yamldoc.Path{"x-salvor", "host"}.ID()] != "!!str beta" {
			t.Fatalf("the host is %q, %v", after[yamldoc.Path{"x-salvor", "host"}.ID()], err)
		}
		if again, err := SetStackHost(got, "beta"); err != nil || !bytes.Equal(got, again) {
			t.Errorf("a second edit changed %q to %q: %v", got, again, err)
		}
	})
}

// FuzzRemove proves that a removal either says that it cannot, or leaves a file
// that lacks the host and otherwise says what it said.
func FuzzRemove(f *testing.F) {
	f.Add([]byte(designFleet))
	f.Add([]byte("hosts: {alpha: {address: a}, beta: {address: b}} # all\n"))
	seeds(f, func(name string) bool { return name == fleet.File })
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := RemoveHost(content, "alpha")
		if err != nil {
			return
		}
		root, err := yamldoc.Parse("", got)
		if err != nil {
			t.Fatalf("the removal broke the file: %v", err)
		}
		if after, err := yamldoc.Flatten(root); err != nil || after[yamldoc.Path{"hosts", "alpha"}.ID()] != "" {
			t.Fatalf("the host is still there: %v", err)
		}
		if again, err := RemoveHost(got, "alpha"); err != nil || !bytes.Equal(got, again) {
			t.Errorf("a second removal changed %q to %q: %v", got, again, err)
		}
		RemoveHostKeys(content, "alpha")
	})
}
