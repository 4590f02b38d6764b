package app

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/checkout"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/machine/sshtest"
	"salvor/internal/progress"
)

// TestTheGitHostIsPinned is fault D5: hosts never read Git when the docs were
// followed, since nothing ever pinned the Git host's key.
func TestTheGitHostIsPinned(t *testing.T) {
	server := sshtest.Start(t)
	url := fmt.Sprintf("ssh://git@127.0.0.1:%d/fleet.git", server.Port)
	name := fmt.Sprintf("[127.0.0.1]:%d", server.Port)
	tests := map[string]struct {
		known  bool  // to the operator's ssh
		answer error // to the question
		asked  bool
		pins   bool
		fails  bool
	}{
		"known to the operator": {known: true, pins: true},
		"confirmed":             {asked: true, pins: true},
		"refused":               {asked: true, answer: errors.New("not confirmed"), fails: true},
		"nobody can be asked":   {asked: true, answer: fault.WithCode(errors.New("confirmation needed"), fault.Usage)},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			dir := printedRepo(t, newKey(t).Recipient)
			if out, err := exec.CommandContext(t.Context(), "git", "-C", dir, "remote", "add", "origin", url).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			known := filepath.Join(t.TempDir(), "known_hosts")
			if test.known {
				if err := os.WriteFile(known, []byte(name+" "+server.HostKey+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("GIT_SSH_COMMAND", "ssh -o UserKnownHostsFile="+known)
			asked := false
			a, err := Open(t.Context(), Options{Dir: dir, Sink: progress.Discard(), Approve: approveAll, Trust: func(question string) error {
				asked = strings.Contains(question, "127.0.0.1") && strings.Contains(question, "SHA256:")
				return test.answer
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			if !slices.ContainsFunc(a.Findings(), func(f finding.Finding) bool { return f.Code == finding.GitUnpinned }) {
				t.Errorf("no finding before: %v", a.Findings())
			}
			err = a.GitHost.PinGitHost(t.Context())
			if (err != nil) != test.fails || asked != test.asked {
				t.Errorf("asked: %v, error: %v", asked, err)
			}
			content, _ := exec.CommandContext(t.Context(), "git", "-C", dir, "show", "HEAD:"+fleet.KnownHostsFile).Output()
			if got := strings.Contains(string(content), name+" "+server.HostKey); got != test.pins {
				t.Errorf("pinned: %v\n%s", got, content)
			}
			if pinned := strings.Contains(strings.Join(a.GitHost.knownGitHost(url), "\n"), name); pinned != test.pins {
				t.Errorf("hosts get the key in this command: %v", pinned)
			}
			if err := a.GitHost.PinGitHost(t.Context()); test.pins && (err != nil || len(a.GitHost.knownGitHost(url)) != 1) {
				t.Errorf("the second time: %v, %q", err, a.GitHost.knownGitHost(url))
			}
		})
	}
}

// TestOnlyTheGitHostsLinesReachHosts: a recovery that adds a host changed what every
// host had about the Git host, so that the next plan was not empty.
func TestOnlyTheGitHostsLinesReachHosts(t *testing.T) {
	a := &GitHost{checkout: &checkout.Checkout{Export: t.TempDir()}}
	write := func(content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(a.checkout.Export, "hosts"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(a.checkout.Export, "hosts", "known_hosts"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# ours\n192.0.2.1 ssh-ed25519 A\n[git.example.net]:2222 ssh-ed25519 B\ngit.example.net,192.0.2.9 ssh-ed25519 C\n@cert-authority *.example.net ssh-ed25519 D\n|1|x|y ssh-ed25519 E\n\n")
	want := []string{"git.example.net,192.0.2.9 ssh-ed25519 C", "@cert-authority *.example.net ssh-ed25519 D", "|1|x|y ssh-ed25519 E"}
	if diff := cmp.Diff(want, a.knownGitHost("git@git.example.net:you/fleet.git")); diff != "" {
		t.Error(diff)
	}
	if lines := a.knownGitHost("https://git.example.net/you/fleet.git"); len(lines) > 0 {
		t.Errorf("lines for a repository that is not read over SSH: %q", lines)
	}
}
