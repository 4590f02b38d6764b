package main

import (
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/webdav"

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
		{`Keep your key open for an hour, so that no command asks for its passphrase\? \[y/N\] `, "n"},
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

// TestInitLeavesNothingToAsk: the first commands after init asked for the passphrase that
// had just been typed, and whether the place that had just been typed is right.
func TestInitLeavesNothingToAsk(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	disk := filepath.Join(o.dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(&webdav.Handler{FileSystem: webdav.Dir(disk), LockSystem: webdav.NewMemLS()})
	t.Cleanup(server.Close)
	o.write("authority.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	o.env = append(o.env, "SSL_CERT_FILE="+o.dir+"/authority.pem", "SSL_CERT_DIR="+o.dir)
	s := o.types("init", "other", "--name", "other")
	for _, pair := range [][2]string{
		{`repository \(nothing: later\): `, ""},
		{`FOLDER \(nothing: later\): `, strings.Replace(server.URL, "https://", "https://ann@", 1) + "/"},
		{`for your key: `, phrase}, {`The same again: `, phrase},
		{`no command asks for its passphrase\? \[y/N\] `, "y"},
		{`Password of the remote offsite: `, "s3cret"},
	} {
		s.await(pair[0])
		s.send(pair[1] + "\n")
	}
	if code := s.code(); code != 0 {
		t.Fatalf("ended with %d: %q", code, s.screen())
	}
	<-s.ended
	for _, want := range []string{`other\.age is open until `, `✔ offsite: \S+/snapshots works: `, `Next, in other:\r\n  1\. git remote add origin URL\r\n`} {
		if !regexp.MustCompile(want).MatchString(s.screen()) {
			t.Errorf("%s is not on the screen: %q", want, s.screen())
		}
	}
	if out := o.must("-C", "../other", "--json", "remote", "test", "offsite"); !strings.Contains(out, `"ok": true`) {
		t.Errorf("%s", out)
	}
	if out := o.must("key", "lock"); !strings.Contains(out, "other.age") {
		t.Errorf("%s", out)
	}
}
