// Package sshtest starts a private OpenSSH server on a loopback port for tests,
// with its own keys, configuration and users in a temporary folder. It starts
// processes itself, since a test of the ways to reach a machine can't rely on
// one of them.
package sshtest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A Server is a running sshd that accepts root, and, where it can have its own users
// (see users.go), these as well.
type Server struct {
	Port         int
	HostKey      string // "ssh-ed25519 AAAA…"
	OtherHostKey string // the same host's ECDSA key
	UserKey      string // path of a private key that is accepted
	LockedKey    string // one that is accepted and has the passphrase "open sesame"
	OtherKey     string // one that is not accepted

	SudoUser string // may use sudo; "" where this machine can't have users for a test
	AskUser  string // is asked for a password by sudo; "" like SudoUser
}

// Start starts an sshd that ends with the test. It skips the test, or fails it
// where SALVOR_LAB=require, when this machine has none.
func Start(t testing.TB) *Server {
	t.Helper()
	if _, err := os.Stat(sshd); err != nil {
		Missing(t, "no sshd: apt install openssh-server")
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		Missing(t, "sshd needs /run/sshd: "+err.Error())
	}
	dir := openDir(t)
	hostKey, otherHostKey := keygen(t, dir, "host", "ed25519", ""), keygen(t, dir, "host2", "ecdsa", "")
	s := &Server{
		Port:         freePort(t),
		HostKey:      public(t, hostKey),
		OtherHostKey: public(t, otherHostKey),
		UserKey:      keygen(t, dir, "user", "ed25519", ""),
		LockedKey:    keygen(t, dir, "locked", "ed25519", "open sesame"),
		OtherKey:     keygen(t, dir, "other", "ed25519", ""),
	}
	write(t, filepath.Join(dir, "authorized_keys"), public(t, s.UserKey)+"\n"+public(t, s.LockedKey)+"\n", 0o644)
	config := filepath.Join(dir, "sshd_config")
	write(t, config, fmt.Sprintf("ListenAddress 127.0.0.1:%d\nHostKey %s\nHostKey %s\nAuthorizedKeysFile %s/authorized_keys\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nMaxStartups 100\n",
		s.Port, hostKey, otherHostKey, dir), 0o600)
	start(t, s.command(t, dir, config))
	s.await(t)
	return s
}

// openDir returns a folder that other users may enter, as t.TempDir's is not.
func openDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sshtest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Missing skips a test for a reason, or fails it where SALVOR_LAB=require.
func Missing(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("SALVOR_LAB") == "require" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

func start(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("sshd: %s", log.String())
		}
	})
}

func keygen(t testing.TB, dir, name, kind, passphrase string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-a", "1", "-f", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		Missing(t, fmt.Sprintf("ssh-keygen: %v: %s", err, out))
	}
	return file
}

func public(t testing.TB, file string) string {
	t.Helper()
	content, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(content))
	return fields[0] + " " + fields[1]
}

func write(t testing.TB, file, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// await returns when the server greets.
func (s *Server) await(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		if greets(s.Port) {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatal("sshd does not answer")
}

func greets(port int) bool {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	greeting := make([]byte, 4)
	n, err := conn.Read(greeting)
	return err == nil && string(greeting[:n]) == "SSH-"
}
