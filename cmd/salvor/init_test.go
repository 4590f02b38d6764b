package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"salvor/internal/machine/sshtest"
)

// TestInitAsksForItsSurroundings at a terminal, pins both servers' keys, and makes the SSH
// key of an SFTP remote.
func TestInitAsksForItsSurroundings(t *testing.T) {
	t.Parallel()
	server := sshtest.Start(t)
	o := newOperator(t)
	o.env = append(o.env, "GIT_SSH_COMMAND=ssh -i "+server.UserKey+" -o UserKnownHostsFile=/dev/null")
	s := o.types("init", "other", "--name", "other")
	for _, pair := range [][2]string{
		{`repository \(nothing: later\): `, fmt.Sprintf("ssh://root@127.0.0.1:%d%s/there.git", server.Port, o.dir)},
		{`FOLDER \(nothing: later\): `, fmt.Sprintf("sftp://backup@127.0.0.1:%d/disk", server.Port)},
		{`for your key: `, phrase}, {`The same again: `, phrase},
		{`remote offsite \(127.0.0.1\) presents the key SHA256:\S+\r\nIs that its key\? \[y/N\] `, "y"},
		{`Password of the remote offsite \(nothing: an SSH key is made\): `, ""},
		{`The Git host 127.0.0.1 presents the key SHA256:\S+ Is that its key\? \[y/N\] `, "y"},
	} {
		s.await(pair[0])
		s.send(pair[1] + "\n")
	}
	if code := s.code(); code != 0 {
		t.Fatalf("ended with %d: %q", code, s.screen())
	}
	<-s.ended
	if !regexp.MustCompile(`authorized_keys of backup there:\r\n +ssh-ed25519 AAAA\S+ salvor-other\r\n`).MatchString(s.screen()) {
		t.Errorf("the remote's key is not shown: %q", s.screen())
	}
	declared, err := os.ReadFile(o.dir + "/other/fleet.yaml")
	if err != nil || !strings.Contains(string(declared), server.HostKey) || !strings.Contains(string(declared), "secret:offsite_key") {
		t.Errorf("%v\n%s", err, declared)
	}
	known, err := os.ReadFile(o.dir + "/other/hosts/known_hosts")
	if err != nil || !strings.Contains(string(known), fmt.Sprintf("[127.0.0.1]:%d %s", server.Port, server.HostKey)) {
		t.Errorf("the Git host is not pinned: %v\n%s", err, known)
	}
	// the path has no repository: init makes the fleet, and says what is left
	if !strings.Contains(s.screen(), "note: the repository is not pushed yet: ") || !strings.Contains(s.screen(), "git push --set-upstream origin HEAD") {
		t.Errorf("%q", s.screen())
	}
}
