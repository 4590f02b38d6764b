package gitread_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/gitread"
)

// missing skips, or fails where everything is required to be there.
func missing(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("SALVOR_LAB") == "require" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.net",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.net")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// repo is a bare repository with a work tree to commit from.
type repo struct{ bare, work string }

func newRepo(t *testing.T) repo {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		missing(t, "no git program: nothing to read from")
	}
	r := repo{bare: filepath.Join(t.TempDir(), "fleet.git"), work: t.TempDir()}
	run(t, r.work, "git", "init", "-q", "--bare", "-b", "main", r.bare)
	run(t, r.work, "git", "init", "-q", "-b", "main", ".")
	return r
}

// commit writes a lock with that content and pushes it, as git push --force.
func (r repo) commit(t *testing.T, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(r.work, "stacks/notes"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"salvor.lock": 0o644, "stacks/notes/run.sh": 0o755} {
		if err := os.WriteFile(filepath.Join(r.work, name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	run(t, r.work, "git", "add", "-A")
	run(t, r.work, "git", "commit", "-q", "-m", content)
	run(t, r.work, "git", "push", "-q", "--force", r.bare, "main")
	return run(t, r.work, "git", "rev-parse", "HEAD")
}

// sshd serves SSH on loopback for the user of the test, who gets in with the key
// in the returned source.
func sshd(t *testing.T) (address string, source gitread.Source) {
	t.Helper()
	program, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		missing(t, "no /usr/sbin/sshd (apt-get install openssh-server)")
	}
	if os.Getuid() == 0 { // where sshd separates privileges; its own unit makes it otherwise
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			missing(t, err.Error())
		}
	}
	dir := t.TempDir()
	for _, key := range []string{"host_rsa", "host_ed25519", "client", "stranger"} {
		kind := "ed25519"
		if key == "host_rsa" {
			kind = "rsa"
		}
		run(t, dir, "ssh-keygen", "-q", "-t", kind, "-N", "", "-f", filepath.Join(dir, key))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("ListenAddress 127.0.0.1:%d\nHostKey %[2]s/host_rsa\nHostKey %[2]s/host_ed25519\nAuthorizedKeysFile %[2]s/client.pub\n"+
		"StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nPermitRootLogin yes\n", port, dir)
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-D", "-e", "-f", filepath.Join(dir, "config"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	address = fmt.Sprintf("127.0.0.1:%d", port)
	awaitPort(t, address)
	public, err := os.ReadFile(filepath.Join(dir, "host_ed25519.pub"))
	if err != nil {
		t.Fatal(err)
	}
	return address, gitread.Source{KeyFile: filepath.Join(dir, "client"), KnownHosts: fmt.Appendf(nil, "[127.0.0.1]:%d %s", port, public)}
}

func awaitPort(t *testing.T, address string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = conn.Close()
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Fatalf("nothing listens on %s", address)
}

func sshURL(t *testing.T, address, path string) string {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("ssh://%s@%s%s", me.Username, address, path)
}

func fetch(t *testing.T, r *gitread.Repository) string {
	t.Helper()
	commit, err := r.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return commit
}

func TestOverSSH(t *testing.T) {
	origin := newRepo(t)
	address, source := sshd(t)
	source.URL = sshURL(t, address, origin.bare)
	testReading(t, origin, source)
}

func TestFromAFolder(t *testing.T) {
	origin := newRepo(t)
	testReading(t, origin, gitread.Source{URL: origin.bare})
}

func testReading(t *testing.T, origin repo, source gitread.Source) {
	dir := filepath.Join(t.TempDir(), "git")
	r, err := gitread.Open(dir, source)
	if err != nil {
		t.Fatal(err)
	}
	if _, known := r.Contains("0123456789012345678901234567890123456789"); known {
		t.Error("before a fetch something is known of the branch")
	}
	first := origin.commit(t, "one")
	if got := fetch(t, r); got != first {
		t.Errorf("newest is %s, want %s", got, first)
	}
	second := origin.commit(t, "two")
	if r, err = gitread.Open(dir, source); err != nil { // as after a restart
		t.Fatal(err)
	}
	if got := fetch(t, r); got != second || fetch(t, r) != second {
		t.Errorf("newest is %s, want %s", got, second)
	}
	testContent(t, r, first, second)
	testAncestry(t, origin, r, first, second)
}

func testContent(t *testing.T, r *gitread.Repository, first, second string) {
	t.Helper()
	for commit, want := range map[string]string{first: "one", second: "two"} {
		if got, err := r.File(commit, "salvor.lock"); err != nil || string(got) != want {
			t.Errorf("salvor.lock at %s is %q, %v; want %q", commit, got, err, want)
		}
	}
	if _, err := r.File(second, "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := r.Files(second, "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
	files, err := r.Files(second, "stacks/notes")
	want := []gitread.File{{Path: "run.sh", Content: []byte("two"), Executable: true}}
	if diff := cmp.Diff(want, files); err != nil || diff != "" {
		t.Errorf("Files: %v (-want +got):\n%s", err, diff)
	}
}

func testAncestry(t *testing.T, origin repo, r *gitread.Repository, first, second string) {
	t.Helper()
	run(t, origin.work, "git", "reset", "-q", "--hard", first)
	rewound := origin.commit(t, "three")
	if got := fetch(t, r); got != rewound {
		t.Fatalf("newest is %s, want %s", got, rewound)
	}
	for commit, want := range map[string]bool{first: true, rewound: true, second: false, strings.Repeat("ab", 20): false, "no hash": false} {
		if on, known := r.Contains(commit); on != want || !known {
			t.Errorf("Contains(%s) is %t, %t; want %t, known", commit, on, known, want)
		}
	}
	if ok, err := r.Descends(second, first); !ok || err != nil {
		t.Errorf("Descends(second, first) is %t, %v", ok, err)
	}
	if ok, err := r.Descends(rewound, second); ok || err != nil {
		t.Errorf("Descends(rewound, second) is %t, %v: a rewind went unnoticed", ok, err)
	}
}

func TestUnreachable(t *testing.T) {
	origin := newRepo(t)
	origin.commit(t, "one")
	address, good := sshd(t)
	good.URL = sshURL(t, address, origin.bare)
	_, other := sshd(t)
	_, port, _ := strings.Cut(address, ":")
	_, key, _ := strings.Cut(string(other.KnownHosts), " ")
	for name, change := range map[string]func(*gitread.Source){
		"another host key":    func(s *gitread.Source) { s.KnownHosts = []byte("[127.0.0.1]:" + port + " " + key) },
		"a key not let in":    func(s *gitread.Source) { s.KeyFile = other.KeyFile },
		"no such branch":      func(s *gitread.Source) { s.Branch = "other" },
		"no repository":       func(s *gitread.Source) { s.URL += "/none" },
		"nobody listening":    func(s *gitread.Source) { s.URL, s.KnownHosts = closedPort(t, s.KnownHosts) },
		"a server that hangs": func(s *gitread.Source) { s.URL, s.KnownHosts = hangingPort(t, s.KnownHosts) },
	} {
		t.Run(name, func(t *testing.T) {
			source := good
			change(&source)
			r, err := gitread.Open(filepath.Join(t.TempDir(), "git"), source)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			began := time.Now()
			if commit, err := r.Fetch(ctx); !errors.Is(err, gitread.ErrUnreachable) {
				t.Errorf("Fetch is %q, %v; want ErrUnreachable", commit, err)
			}
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func closedPort(t *testing.T, knownHosts []byte) (string, []byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return at(t, l, knownHosts)
}

func hangingPort(t *testing.T, knownHosts []byte) (string, []byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return at(t, l, knownHosts)
}

func at(t *testing.T, l net.Listener, knownHosts []byte) (string, []byte) {
	t.Helper()
	_, key, _ := strings.Cut(string(knownHosts), " ")
	return sshURL(t, l.Addr().String(), "/x"), fmt.Appendf(nil, "[127.0.0.1]:%d %s", l.Addr().(*net.TCPAddr).Port, key)
}

func TestOpenRefuses(t *testing.T) {
	_, good := sshd(t)
	for name, source := range map[string]gitread.Source{
		"a password in the URL": {URL: "https://u:hunter2@git.example.net/x"},
		"no pinned host key":    {URL: "ssh://git@git.example.net/x", KeyFile: good.KeyFile, KnownHosts: good.KnownHosts},
		"no key":                {URL: "ssh://git@git.example.net/x", KeyFile: "/none"},
		"an unsafe protocol":    {URL: "git://git.example.net/x"},
	} {
		if _, err := gitread.Open(t.TempDir(), source); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestADamagedCopyIsFetchedAgain: each file of the copy, emptied or gone, costs a
// fetch and nothing else.
func TestADamagedCopyIsFetchedAgain(t *testing.T) {
	origin := newRepo(t)
	newest := origin.commit(t, "one")
	dir := filepath.Join(t.TempDir(), "git")
	open := func() *gitread.Repository {
		r, err := gitread.Open(dir, gitread.Source{URL: origin.bare})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	fetch(t, open())
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil || len(files) < 4 {
		t.Fatalf("%q in the copy, %v", files, err)
	}
	for _, name := range files {
		for what, damage := range map[string]func(string) error{"emptied": func(path string) error { return os.WriteFile(path, nil, 0o600) }, "gone": os.Remove} {
			fetch(t, open())
			again, err := filepath.Glob(filepath.Join(dir, filepath.Dir(name), "*"+filepath.Ext(name)))
			if err != nil || len(again) == 0 {
				t.Fatalf("no file like %s: %v", name, err)
			}
			if err := errors.Join(os.Chmod(again[0], 0o600), damage(again[0])); err != nil {
				t.Fatal(err)
			}
			t.Logf("%s %s", name, what)
			r := open()
			if got := fetch(t, r); got != newest {
				t.Errorf("%s %s: got %s", name, what, got)
			}
			if content, err := r.File(newest, "salvor.lock"); err != nil || string(content) != "one" {
				t.Errorf("%s %s: %q, %v", name, what, content, err)
			}
		}
	}
}

func TestAKeyThatCannotBeReadIsMadeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	first, err := gitread.EnsureKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := gitread.EnsureKey(path); err != nil || again != first {
		t.Errorf("a key that is there: %q, %v", again, err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if second, err := gitread.EnsureKey(path); err != nil || second == first || second == "" {
		t.Errorf("an emptied key: %q, %v", second, err)
	}
}
