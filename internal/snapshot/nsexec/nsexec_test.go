package nsexec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"salvor/internal/machine"
	"salvor/internal/machine/local"
	"salvor/internal/secret"
)

// Arguments with which the test binary sets an attribute that takes CAP_SYS_ADMIN.
const (
	setAttribute = "set-attribute"
	attribute    = "trusted.salvor"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == setAttribute {
		err := os.WriteFile(os.Args[2], nil, 0o600)
		if err == nil {
			err = unix.Setxattr(os.Args[2], attribute, []byte("kept"), 0)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == "ns-exec" {
		fmt.Fprintln(os.Stderr, Main(os.Stdin))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func run(t *testing.T, spec Spec) (string, error) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mount namespaces need root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := Command([]string{self, "ns-exec"}, spec)
	if err != nil {
		t.Fatal(err)
	}
	out, err := local.Machine{}.Run(t.Context(), cmd)
	return string(out.Stdout), err
}

func TestBindsAreSeenInsideOnly(t *testing.T) {
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "f"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, Spec{Argv: []string{"/bin/cat", Root + "/a/b/f", Root + "/single"}, Binds: []Bind{
		{Source: source, Target: Root + "/a/b"}, {Source: filepath.Join(source, "f"), Target: Root + "/single"},
	}})
	if err != nil || out != "contentcontent" {
		t.Errorf("inside: %q, %v", out, err)
	}
	if _, err := os.Stat(Root + "/a"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("outside: %v", err)
	}
}

func TestBindsAreReadOnlyUnlessAsked(t *testing.T) {
	for _, writable := range []bool{false, true} {
		_, err := run(t, Spec{Argv: []string{"/bin/touch", Root + "/a/new"}, Binds: []Bind{{Source: t.TempDir(), Target: Root + "/a", Writable: writable}}})
		var exit *machine.ExitError
		if failed := errors.As(err, &exit); failed == writable {
			t.Errorf("writable %v: %v", writable, err)
		}
	}
}

func TestSecretsAreReadTwiceAndNotSeen(t *testing.T) {
	out, err := run(t, Spec{Argv: []string{"/bin/cat", "{token}", "{token}", "/proc/self/cmdline", "/proc/self/environ"},
		Secrets: map[string]secret.Value{"token": secret.NewString("hunter2")}})
	if err != nil || strings.Count(out, "hunter2") != 2 || !strings.HasPrefix(out, "hunter2hunter2") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestHostname(t *testing.T) {
	out, err := run(t, Spec{Argv: []string{"/bin/cat", "/proc/sys/kernel/hostname"}, Hostname: "salvor-epoch-7"})
	if err != nil || out != "salvor-epoch-7\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestBadSpecs(t *testing.T) {
	for name, spec := range map[string]Spec{
		"no program":          {},
		"relative program":    {Argv: []string{"cat"}},
		"no such program":     {Argv: []string{"/no/such"}},
		"target outside":      {Argv: []string{"/bin/true"}, Binds: []Bind{{Source: "/tmp", Target: "/etc"}}},
		"target climbs":       {Argv: []string{"/bin/true"}, Binds: []Bind{{Source: "/tmp", Target: Root + "/../etc"}}},
		"source is not there": {Argv: []string{"/bin/true"}, Binds: []Bind{{Source: "/no/such", Target: Root + "/a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := run(t, spec); err == nil {
				t.Error("started")
			}
		})
	}
}
