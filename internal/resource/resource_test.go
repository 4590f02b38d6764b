package resource_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"salvor/internal/converge"
	"salvor/internal/machine"
	"salvor/internal/machine/debiantest"
	"salvor/internal/progress"
	"salvor/internal/resource"
)

// apply plans and applies, and returns what was said.
func apply(t *testing.T, h machine.Machine, resources ...converge.Resource) (said []string, err error) {
	t.Helper()
	p, err := converge.NewPlan(t.Context(), h, resources)
	if err != nil {
		return nil, err
	}
	events := make(chan string, 1000)
	_, err = p.Apply(t.Context(), progress.Scope{Sink: progress.SinkFunc(func(e progress.Event) {
		if e.State == progress.Running {
			events <- e.Text
		}
	})})
	close(events)
	for text := range events {
		said = append(said, text)
	}
	return said, err
}

func TestRefusals(t *testing.T) {
	tests := map[string]struct {
		host     func(h *debiantest.Host)
		resource converge.Resource
		want     string
	}{
		"a directory where a file shall be": {
			resource: resource.File{Path: "/etc/apt", Mode: 0o644}, want: "file /etc/apt: there is something other than a regular file",
		},
		"a file where a directory shall be": {
			resource: resource.Directory{Path: "/etc/passwd", Mode: 0o755}, want: "directory /etc/passwd: there is something other than a directory",
		},
		"a file without its folder": {
			resource: resource.File{Path: "/nowhere/x", Mode: 0o644}, want: "file /nowhere/x: open /nowhere/x",
		},
		"a held package": {
			host: func(h *debiantest.Host) {
				h.Put("/var/lib/dpkg/status", "Package: restic\nStatus: hold ok installed\nVersion: 0.12\n", 0o644)
			},
			resource: resource.Packages{Name: "base", List: []resource.Package{{Name: "restic", Min: "0.14"}}},
			want:     "packages base: restic 0.12 is held back, want 0.14 or newer; hint: apt-mark unhold restic",
		},
		"a package that is too old everywhere": {
			host:     brings("restic", "0.12", ""),
			resource: resource.Packages{Name: "base", List: []resource.Package{{Name: "restic", Min: "0.14"}}},
			want:     "packages base: apt brought restic 0.12 (installed), want 0.14 or newer",
		},
		"a package that nobody has": {
			resource: resource.Packages{Name: "base", List: []resource.Package{{Name: "ghost"}}}, want: "Unable to locate package ghost",
		},
		"a unit that nothing brings": {
			resource: resource.Unit{Name: "ghost.service", Run: resource.Running}, want: "unit ghost.service: there is no such unit",
		},
		"a user with another id": {
			resource: resource.User{Name: "root", UID: 7}, want: "user root: has the id 0, want 7",
		},
		"a setting that the kernel lacks": {
			resource: resource.Sysctl{Key: "net.ghost", Value: "1"}, want: "sysctl net.ghost: this kernel has no such setting",
		},
		"a command that does not satisfy its guard": {
			resource: resource.Command{Name: "lie", Guard: []string{"test", "-e", "/x"}, Argv: []string{"test", "-e", "/etc"}, Cause: "x is missing"},
			want:     "command lie: ran, but still x is missing",
		},
		"a JSON file that is none": {
			host:     func(h *debiantest.Host) { h.Put("/etc/x.json", "# mine\n", 0o644) },
			resource: resource.JSONFile{Path: "/etc/x.json", Keys: map[string]json.RawMessage{"a": json.RawMessage("1")}},
			want:     "file /etc/x.json: is not a JSON object",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h := debiantest.New()
			if tc.host != nil {
				tc.host(h)
			}
			_, err := apply(t, h, tc.resource)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v\nwant one with %q", err, tc.want)
			}
		})
	}
}

func TestPackagesInOneCall(t *testing.T) {
	h := debiantest.New()
	for _, name := range []string{"a", "b", "c"} {
		brings(name, "1", "")(h)
	}
	said, err := apply(t, h, resource.Packages{Name: "all", List: []resource.Package{{Name: "a"}, {Name: "b"}, {Name: "c"}}})
	if err != nil {
		t.Fatal(err)
	}
	var installs []string
	for _, call := range h.Calls() {
		if strings.HasPrefix(call, "apt-get install") {
			installs = append(installs, call)
		}
	}
	if len(installs) != 1 || !strings.HasSuffix(installs[0], " -- a b c") {
		t.Errorf("installs %q, want one of all three", installs)
	}
	if all := strings.Join(said, "; "); !strings.Contains(all, "fetching package lists; setting up a (1); setting up b (1)") {
		t.Errorf("said %q", all)
	}
}

// Lists that are fresh but don't know the package are fetched once more.
func TestPackagesUnknownToFreshLists(t *testing.T) {
	h := debiantest.New()
	brings("a", "1", "")(h)
	packages := func(name string) resource.Packages {
		return resource.Packages{Name: name, List: []resource.Package{{Name: name}}}
	}
	if _, err := apply(t, h, packages("a")); err != nil {
		t.Fatal(err)
	}
	brings("b", "1", "")(h)
	if _, err := apply(t, h, packages("b")); err != nil {
		t.Fatal(err)
	}
	brings("c", "1", "")(h)
	h.RefreshLists()
	before := len(h.Calls())
	if _, err := apply(t, h, packages("c")); err != nil {
		t.Fatal(err)
	}
	for _, call := range h.Calls()[before:] {
		if strings.HasPrefix(call, "apt-get update") {
			t.Error("lists were fetched although they were fresh and knew the package")
		}
	}
}

// mute is a host whose package sources do not answer.
type mute struct{ *debiantest.Host }

func (m mute) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	if strings.Join(c.Argv[:min(2, len(c.Argv))], " ") == "apt-get update" {
		return machine.Output{Stderr: []byte("W: Failed to fetch http://deb.example.net/debian/dists/trixie/InRelease  Could not connect\nW: Some index files failed to download. They have been ignored, or old ones used instead.\n")}, nil
	}
	return m.Host.Run(ctx, c)
}

// apt's own error, "Unable to locate package", says nothing of sources that did
// not answer: that was all that a new host behind a dead mirror reported.
func TestSourcesThatDoNotAnswerAreNamed(t *testing.T) {
	_, err := apply(t, mute{debiantest.New()}, resource.Packages{Name: "x", List: []resource.Package{{Name: "restic"}}})
	if err == nil || !strings.Contains(err.Error(), "package lists could not be fetched: http://deb.example.net/debian/dists/trixie/InRelease  Could not connect: ") {
		t.Errorf("error %v", err)
	}
}

// busy is a host on which another package manager works until a moment.
type busy struct {
	*debiantest.Host
	until  time.Time
	stderr string
}

func (b busy) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	if c.Argv[0] == "dpkg" && time.Now().Before(b.until) {
		return machine.Output{}, &machine.ExitError{Argv: c.Argv, Code: 2, Stderr: []byte(b.stderr)}
	}
	return b.Host.Run(ctx, c)
}

func TestPackagesWaitForTheLock(t *testing.T) {
	// what dpkg of Debian 12 and of Debian 13 said
	const (
		dpkg12 = "dpkg: error: dpkg frontend lock was locked by another process with pid 212\n"
		dpkg13 = "dpkg: error: dpkg frontend lock was locked by /usr/bin/apt-get process with pid 212\nNote: removing the lock file is always wrong, can damage the locked area\nand the entire system. See <https://wiki.debian.org/Teams/Dpkg/FAQ#db-lock>.\n"
	)
	tests := map[string]struct {
		busy   time.Duration
		stderr string
		want   string
	}{
		"a minute on Debian 12": {time.Minute, dpkg12, ""},
		"a minute on Debian 13": {time.Minute, dpkg13, ""},
		"an hour":               {time.Hour, dpkg13, "another package manager is still running after 5m0s"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := debiantest.New()
				brings("a", "1", "")(h)
				said, err := apply(t, busy{h, time.Now().Add(tc.busy), tc.stderr}, resource.Packages{Name: "a", List: []resource.Package{{Name: "a"}}})
				if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
					t.Errorf("error %v, want %q", err, tc.want)
				}
				if len(said) == 0 || said[0] != "waiting for another package manager" {
					t.Errorf("said %q", said)
				}
			})
		})
	}
}

func TestFileOfAnotherOwnerAppearsWhole(t *testing.T) {
	h := debiantest.New()
	if _, err := apply(t, h, resource.User{Name: "app"}, resource.File{Path: "/etc/app", Content: []byte("x"), Mode: 0o640, Owner: "app", Group: "app"}); err != nil {
		t.Fatal(err)
	}
	calls := h.Calls()
	if last := calls[len(calls)-1]; last != "mv -fT -- /etc/.app.salvor-new /etc/app" {
		t.Errorf("the last call is %q: the file was in its place before it had owner and mode", last)
	}
}

func TestJSONFileKeepsWhatOthersWrote(t *testing.T) {
	h := debiantest.New()
	h.Put("/etc/x.json", `{"log-driver": "local", "list": ["a"]}`, 0o600)
	file := resource.JSONFile{Path: "/etc/x.json", Mode: 0o644, Keys: map[string]json.RawMessage{"list": json.RawMessage(`["b", "a"]`), "new": json.RawMessage("true")}}
	if _, err := apply(t, h, file); err != nil {
		t.Fatal(err)
	}
	got, err := h.ReadFile(t.Context(), "/etc/x.json")
	if err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"list\": [\n    \"a\",\n    \"b\"\n  ],\n  \"log-driver\": \"local\",\n  \"new\": true\n}\n"
	if string(got) != want {
		t.Errorf("content\n%s\nwant\n%s", got, want)
	}
}

func TestBlockKeepsWhatOthersWrote(t *testing.T) {
	const theirs = "# mine\nssh-ed25519 a\nssh-rsa b"
	h := debiantest.New()
	h.Put("/root/keys", theirs, 0o640)
	block := resource.Block{Path: "/root/keys", Name: "salvor", Lines: []string{"ssh-ed25519 x", "ssh-ed25519 y"}, Mode: 0o600}
	for _, step := range []struct {
		lines []string
		want  string
	}{
		{block.Lines, theirs + "\n# begin salvor\nssh-ed25519 x\nssh-ed25519 y\n# end salvor\n"},
		{block.Lines[1:], theirs + "\n# begin salvor\nssh-ed25519 y\n# end salvor\n"},
		{nil, theirs + "\n"},
	} {
		block.Lines = step.lines
		if _, err := apply(t, h, block); err != nil {
			t.Fatal(err)
		}
		if got, err := h.ReadFile(t.Context(), "/root/keys"); err != nil || string(got) != step.want {
			t.Errorf("content\n%s\nwant\n%s%v", got, step.want, err)
		}
	}
	h.Put("/root/keys", "# begin salvor\nssh-ed25519 x\n", 0o600)
	if _, err := apply(t, h, block); err == nil || !strings.Contains(err.Error(), "# end salvor") {
		t.Errorf("a block without an end: %v", err)
	}
}

func TestUnitAlreadyRightIsLeftAlone(t *testing.T) {
	h := debiantest.New()
	h.Put("/etc/systemd/system/x.service", "[Service]\n", 0o644)
	h.Start("x.service")
	h.Put("/proc/version", "", 0o444)
	p, err := converge.NewPlan(t.Context(), h, []converge.Resource{resource.Unit{Name: "x.service", Run: resource.Running, Boot: resource.Disabled, RestartOn: []string{"/proc/none"}}})
	if err != nil || !p.Empty() {
		t.Errorf("plan %s, %v", p, err)
	}
}

func TestEscapePath(t *testing.T) {
	for path, want := range map[string]string{
		"/":              "-",
		"/mnt/salvor":    "mnt-salvor",
		"/mnt/my-data/":  `mnt-my\x2ddata`,
		"/.hidden":       `\x2ehidden`,
		"/srv/a b/c.d_e": `srv-a\x20b-c.d_e`,
		"/media/größe":   `media-gr\xc3\xb6\xc3\x9fe`,
	} {
		if got := resource.EscapePath(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestErrorsKeepTheirCause(t *testing.T) {
	_, err := apply(t, debiantest.New(), resource.Packages{Name: "x", List: []resource.Package{{Name: "ghost"}}})
	if exit, ok := errors.AsType[*machine.ExitError](err); !ok || exit.Code != 100 {
		t.Errorf("error %v does not wrap apt's exit", err)
	}
}
