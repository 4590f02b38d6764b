package demo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheShellHasItsCommands(t *testing.T) {
	t.Setenv("SHELL", "/bin/sh")
	tools := filepath.Join(t.TempDir(), "play")
	me := filepath.Join(t.TempDir(), "salvorlab")
	if err := os.WriteFile(me, []byte("#!/bin/sh\necho \"salvorlab $*\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := furnish(tools, me, "salvorlab-demo-1", "Try:\n  $HOME\n"); err != nil {
		t.Fatal(err)
	}
	cmd := shell(t.Context(), tools)
	cmd.Env = append(cmd.Env, "PATH="+tools+":"+os.Getenv("PATH"))
	cmd.Stdin = strings.NewReader("play\nkill-host alpha\nboot-host alpha\nshell-host beta uptime\nfalse\n")
	out, err := cmd.CombinedOutput()
	if _, ended := err.(*exec.ExitError); !ended { //nolint:errorlint // as it comes from exec
		t.Errorf("the code is not that of the last command: %v", err)
	}
	want := "Try:\n  $HOME\nsalvorlab kill --lab salvorlab-demo-1 alpha\nsalvorlab boot --lab salvorlab-demo-1 alpha\nsalvorlab shell --lab salvorlab-demo-1 beta uptime\n"
	if string(out) != want {
		t.Errorf("%q, want %q", out, want)
	}
	settings, err := os.ReadFile(filepath.Join(tools, "bashrc"))
	if err != nil || string(settings) != "PS1='play$ '\n" {
		t.Errorf("bashrc is %q, %v", settings, err)
	}
}
