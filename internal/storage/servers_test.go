package storage_test

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/storage"
)

const canary = "hunter2-canary/+"

// serve starts Debian's rclone as a server on loopback over dir and returns the
// host:port that it listens on. It ends with the test.
func serve(t *testing.T, listening string, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("rclone")
	if err != nil {
		missing(t, "no rclone program (apt-get install rclone): the servers of this test are missing")
	}
	cmd := exec.CommandContext(t.Context(), program, append([]string{"serve"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LC_ALL=C"}
	cmd.WaitDelay = 5 * time.Second
	logs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	pattern := regexp.MustCompile(listening)
	var seen []string
	lines := bufio.NewScanner(logs)
	for lines.Scan() {
		seen = append(seen, lines.Text())
		if m := pattern.FindStringSubmatch(lines.Text()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, logs) }()
			return m[1]
		}
	}
	t.Fatalf("the server did not start:\n%s", strings.Join(seen, "\n"))
	return ""
}

// missing skips, or fails where everything is required to be there.
func missing(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("SALVOR_LAB") == "require" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

func options(pairs ...string) map[string]secret.Value {
	all := map[string]secret.Value{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = secret.NewString(pairs[i+1])
	}
	return all
}

func webdavServer(t *testing.T) string {
	t.Helper()
	return "http://" + serve(t, `WebDav Server started on \[?http://([^/]*)/`, "webdav", t.TempDir(), "--addr", "127.0.0.1:0", "--user", "u", "--pass", canary)
}

func webdavRemote(url string) storage.Remote {
	return storage.Remote{Type: "webdav", Options: options("url", url, "vendor", "other", "user", "u", "pass", canary)}
}

// newHostKey writes an SSH host key and returns its file and its public line.
func newHostKey(t *testing.T) (file, public string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "host_key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

func sftpServer(t *testing.T, hostKey string) string {
	t.Helper()
	return serve(t, `SFTP server listening on (\S+)`, "sftp", t.TempDir(), "--addr", "127.0.0.1:0", "--user", "u", "--pass", canary, "--key", hostKey)
}

func sftpRemote(address, hostKeys string) storage.Remote {
	host, port, _ := strings.Cut(address, ":")
	return storage.Remote{Type: "sftp", Options: options("host", host, "port", port, "user", "u", "pass", canary, "host_keys", hostKeys)}
}

func open(t *testing.T, remotes storage.Remotes, remote, path string) *storage.Folder {
	t.Helper()
	f, err := storage.Open(t.Context(), remotes, fleet.Location{Remote: remote, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close(t.Context()) })
	return f
}
