package heretest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/journal"
	"salvor/internal/machine/local"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/secret/agekey"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/nsexec"
	"salvor/internal/stack"
	"salvor/internal/terminal"
)

// Main runs the tests of a package, or the helper that runs restic, which the test's
// binary is as salvord is. It returns the exit code.
func Main(m *testing.M) int {
	if len(os.Args) > 1 && os.Args[1] == "ns-exec" {
		err := nsexec.Main(os.Stdin) // returns only when that failed
		terminal.Printf(terminal.Stderr(), "%s\n", err.Error())
		return 1
	}
	return m.Run()
}

// Host is a host with real snapshots in a folder; it skips where restic or
// root is missing, unless the lab is required.
func Host(t *testing.T) *here.Host {
	t.Helper()
	program, err := exec.LookPath("restic")
	if missing := err != nil || os.Getuid() != 0; missing && os.Getenv("SALVOR_LAB") == "require" {
		t.Fatal("restic and root are required", err)
	} else if missing {
		t.Skip("needs restic and root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := hostpath.Layout{Config: dir + "/etc", State: dir + "/state", Run: dir + "/run", Volumes: dir + "/volumes"}
	for _, d := range []string{p.Config, p.State, p.Run, p.Volumes} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return &here.Host{
		Machine: local.Machine{}, Stacks: stack.New(local.Machine{}), Paths: p, Journal: journal.Journal{Dir: p.State + "/journal"},
		Snapshots: snapshot.Engine{
			Host: local.Machine{}, Helper: []string{self, "ns-exec"}, Restic: program, Progress: progress.Discard(),
			Dirs: p,
		},
	}
}

// Stack is a stack that no machine has.
const Stack = "notes-renewed-test"

// Sealed returns the stack as this host gets it, its target with the given
// repositories, newest last.
func Sealed(t *testing.T, h *here.Host, remote string, epoch int, repositories ...string) agentapi.Stack {
	t.Helper()
	if _, err := agekey.EnsureHost(h.Paths.Identity()); err != nil {
		t.Fatal(err)
	}
	file := agentapi.SealedFile{Remotes: map[string]agentapi.SealedRemote{"disk": {Type: "local"}}, Repositories: map[string][]byte{}}
	for _, id := range repositories {
		file.Repositories[id] = []byte(strings.Repeat(id, 20))
	}
	last := len(repositories) - 1
	st := agentapi.Stack{
		Name: Stack, Epoch: epoch,
		Volumes: []project.Volume{{Name: "data", Path: filepath.Join(h.Paths.Volumes, "data"), Protect: fleet.Snapshot, Method: fleet.Live}},
		Targets: []agentapi.Target{{Name: "offsite", Where: fleet.Location{Remote: "disk", Path: remote}, Repository: repositories[last], Former: repositories[:last]}},
	}
	Seal(t, h, &st, "alpha", file)
	return st
}

// Write writes a file.
func Write(t *testing.T, path, content string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		_, err = f.WriteString(content)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}
