package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/fault"
	"salvor/internal/machine/sshtest"
)

// a desk is an operator without a terminal, with a home of their own.
type desk struct {
	t    *testing.T
	home string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	home := t.TempDir()
	for name, value := range map[string]string{"HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, ".config"), "SSH_AUTH_SOCK": ""} {
		t.Setenv(name, value)
	}
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "Ann")
		t.Setenv("GIT_"+who+"_EMAIL", "ann@example.net")
	}
	return &desk{t, home}
}

// salvor runs a command and returns how it ended and what it printed.
func (d *desk) salvor(args ...string) (code int, out, said string) {
	d.t.Helper()
	var stdout, stderr bytes.Buffer
	code = Main(d.t.Context(), args, Console{Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}

func (d *desk) git(dir string, args ...string) string {
	d.t.Helper()
	out, err := exec.CommandContext(d.t.Context(), "git", append([]string{"-C", dir}, args...)...).CombinedOutput()
	if err != nil {
		d.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestRemoteTestPinsAServersKey as host add does (stumble 11): nothing showed or fetched
// it, and the example that init wrote could not work without it (defect D17).
func TestRemoteTestPinsAServersKey(t *testing.T) {
	server := sshtest.Start(t)
	d := newDesk(t)
	dir := filepath.Join(d.home, "fleet")
	if code, _, said := d.salvor("init", dir, "--no-passphrase"); code != fault.OK {
		t.Fatal(said)
	}
	file := filepath.Join(dir, "fleet.yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	declared := fmt.Sprintf("remotes:\n  nas: {type: sftp, host: 127.0.0.1, port: %d, user: backup, pass: secret:nas} # in the cellar\n", server.Port)
	if err := os.WriteFile(file, []byte(strings.Replace(string(content), "remotes: {}\n", declared, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, _ := d.salvor("-C", dir, "check")
	if code == fault.OK || !strings.Contains(out, "fix: salvor remote test nas") {
		t.Errorf("check ends with %d:\n%s", code, out)
	}
	code, _, said := d.salvor("-C", dir, "remote", "test", "nas")
	if code != fault.Usage || !strings.Contains(said, "remote nas (127.0.0.1) presents the key SHA256:") || !strings.Contains(said, "--host-key SHA256:… confirms it") {
		t.Fatalf("%d: %s", code, said)
	}
	_, rest, _ := strings.Cut(said, "presents the key ")
	fingerprint, _, _ := strings.Cut(rest, "\n")
	if code, _, said := d.salvor("-C", dir, "remote", "test", "nas", "--host-key", "SHA256:other"); code != fault.Unreachable {
		t.Errorf("%d: %s", code, said)
	}

	// fleet.yaml is not committed: neither is the key
	pinned := "host_keys: " + server.HostKey + "} # in the cellar"
	_, _, said = d.salvor("-C", dir, "remote", "test", "nas", "--host-key", fingerprint, "--allow-remote", "nas")
	if content, err := os.ReadFile(file); err != nil || !strings.Contains(string(content), pinned) || !strings.Contains(said, "nas: its key is written to fleet.yaml, which is not committed yet") {
		t.Errorf("%v\n%s\n%s", err, content, said)
	}
	if status := d.git(dir, "status", "--porcelain"); status != " M fleet.yaml\n" {
		t.Errorf("status: %s", status)
	}

	// it is: the key is committed, too
	if err := os.WriteFile(file, []byte(strings.Replace(string(content), "remotes: {}\n", declared, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	d.git(dir, "commit", "--quiet", "--all", "--no-verify", "--message", "nas")
	_, _, said = d.salvor("-C", dir, "remote", "test", "nas", "--host-key", fingerprint, "--allow-remote", "nas")
	if committed := d.git(dir, "show", "HEAD:fleet.yaml"); !strings.Contains(committed, pinned) || !strings.Contains(said, "nas: its key is pinned in fleet.yaml, and committed") {
		t.Errorf("%s\n%s", committed, said)
	}
	if subject := d.git(dir, "log", "-1", "--format=%s"); subject != "remote test: nas's key pinned\n" {
		t.Errorf("committed as %q", subject)
	}
	if code, _, said := d.salvor("-C", dir, "remote", "test", "nas", "--allow-remote", "nas"); code == fault.OK || strings.Contains(said, "presents the key") {
		t.Errorf("a key that is pinned is asked about: %d %s", code, said)
	}
}

// TestRemoteAddPinsAServersKey as remote test and host add do.
func TestRemoteAddPinsAServersKey(t *testing.T) {
	server := sshtest.Start(t)
	d := newDesk(t)
	dir := filepath.Join(d.home, "fleet")
	if code, _, said := d.salvor("init", dir, "--no-passphrase"); code != fault.OK {
		t.Fatal(said)
	}
	file := filepath.Join(d.home, "password")
	if err := os.WriteFile(file, []byte("hunter2-canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	add := []string{"-C", dir, "remote", "add", "nas", "--type", "sftp", "--set", "host=127.0.0.1", "--set", fmt.Sprintf("port=%d", server.Port), "--set", "user=backup", "--secret", "pass=" + file}
	code, _, said := d.salvor(add...)
	_, rest, shown := strings.Cut(said, "remote nas (127.0.0.1) presents the key ")
	fingerprint, _, _ := strings.Cut(rest, "\n")
	if code != fault.Usage || !shown || !strings.Contains(said, "--host-key SHA256:… confirms it") {
		t.Fatalf("%d: %s", code, said)
	}
	if code, _, said := d.salvor(append(add, "--host-key", "SHA256:other")...); code != fault.Unreachable {
		t.Errorf("%d: %s", code, said)
	}
	if status := d.git(dir, "log", "-1", "--format=%s"); strings.Contains(status, "remote add") {
		t.Errorf("a key that was not confirmed is committed: %s", status)
	}
	if code, _, said := d.salvor(append(add, "--host-key", fingerprint)...); code != fault.OK || !strings.Contains(said, "nas is declared in fleet.yaml, and committed") {
		t.Fatalf("%d: %s", code, said)
	}
	if committed := d.git(dir, "show", "HEAD:fleet.yaml"); !strings.Contains(committed, server.HostKey) || strings.Contains(committed, "canary") || !strings.Contains(committed, "secret:nas_password") {
		t.Errorf("%s", committed)
	}
	if code, _, said := d.salvor("-C", dir, "remote", "test", "nas"); strings.Contains(said, "confirmation needed") || strings.Contains(said, "presents the key") {
		t.Errorf("what was just declared is asked about: %d %s", code, said)
	}
}
