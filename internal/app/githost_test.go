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
			err = a.GitHost.Pin(t.Context())
			if (err != nil) != test.fails || asked != test.asked {
				t.Errorf("asked: %v, error: %v", asked, err)
			}
			content, _ := exec.CommandContext(t.Context(), "git", "-C", dir, "show", "HEAD:"+fleet.KnownHostsFile).Output()
			if got := strings.Contains(string(content), name+" "+server.HostKey); got != test.pins {
				t.Errorf("pinned: %v\n%s", got, content)
			}
			given := func() []string {
				source, err := a.GitHost.Source(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return source.KnownHosts
			}
			if pinned := strings.Contains(strings.Join(given(), "\n"), name); pinned != test.pins {
				t.Errorf("hosts get the key in this command: %v", pinned)
			}
			if err := a.GitHost.Pin(t.Context()); test.pins && (err != nil || len(given()) != 1) {
				t.Errorf("the second time: %v, %q", err, given())
			}
		})
	}
}
