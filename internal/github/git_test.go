package github_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/github/githubtest"
)

// git runs git as a person without settings, and returns what it says.
func git(t *testing.T, dir, key string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.net", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.net",
		"GIT_SSH_COMMAND=ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes -i " + key,
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func newKey(t *testing.T, name string) (file, public string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), name)
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	content, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return file, string(content)
}

// TestWhoMayDoWhatWithGit: what the emulator serves is what GitHub does, by account,
// deploy key and token.
func TestWhoMayDoWhatWithGit(t *testing.T) {
	t.Parallel()
	s := emulated(t)
	if err := s.Make(t.Context(), "you/fleet", true); err != nil {
		t.Fatal(err)
	}
	own, public := newKey(t, "own")
	if err := s.AddSSHKey("you", public); err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	ssh := "ssh://git@" + s.SSHAddress() + "/you/fleet.git"
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"commit", "-q", "--allow-empty", "-m", "one"}, {"push", "-q", ssh, "main"}} {
		if out, err := git(t, work, own, args...); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	host, hostKey := newKey(t, "host")
	if out, err := git(t, work, host, "ls-remote", ssh); err == nil {
		t.Errorf("a stranger reads: %s", out)
	}
	if err := with(t, s, fine).AddKey(t.Context(), named(t, "you/fleet"), "salvor home/alpha", hostKey); err != nil {
		t.Fatal(err)
	}
	if out, err := git(t, work, host, "ls-remote", "--exit-code", ssh, "refs/heads/main"); err != nil {
		t.Errorf("a deploy key does not read: %v: %s", err, out)
	}
	if out, err := git(t, work, host, "push", ssh, "main:other"); err == nil || !strings.Contains(out, "marked as read only") {
		t.Errorf("a deploy key writes: %s", out)
	}
	for token, want := range map[string]string{fine: "", small: "not granted", "": "could not read Username", "wrong": "Authentication failed"} {
		address := strings.Replace(s.Site().API, "/api/v3", "/you/fleet.git", 1)
		if token != "" {
			address = strings.Replace(address, "://", "://x-access-token:"+token+"@", 1)
		}
		out, err := git(t, work, own, "push", address, "HEAD:refs/heads/by-"+fmt.Sprint(len(token)))
		if (err == nil) != (want == "") || !strings.Contains(out, want) && want != "not granted" {
			t.Errorf("token %q: %v: %s", token, err, out)
		}
	}
	if _, err := with(t, s, other).Repository(t.Context(), named(t, "you/fleet")); err == nil {
		t.Error("someone else sees it")
	}
	s.Change("you/fleet", func(r *githubtest.Repository) { r.Private = false })
	if r, err := with(t, s, other).Repository(t.Context(), named(t, "you/fleet")); err != nil || r.Private {
		t.Errorf("a public one: %+v, %v", r, err)
	}
}
