package checkout

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/machine/local"
	"salvor/internal/memdir"
	"salvor/internal/secret/agekey"
)

// TestMain has git do as it does for an operator without settings of their own.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{
		"GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_NOSYSTEM": "1",
		"GIT_AUTHOR_NAME": "ann", "GIT_AUTHOR_EMAIL": "ann@example.net", "GIT_COMMITTER_NAME": "ann", "GIT_COMMITTER_EMAIL": "ann@example.net",
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// newRepo makes a control repository with one commit.
func newRepo(t *testing.T) (dir string) {
	t.Helper()
	key, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	begin := controlrepo.Beginning{Name: "home", Recipients: fleet.Recipients{Recovery: key.Recipient, Operators: map[string]string{"ann": key.Recipient}}}
	files, message, err := begin.Commit()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if _, _, err := git.Init(t.Context(), local.Machine{}, dir, git.First{Files: files, Message: message}, os.Environ()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// withRemote is newRepo with a remote that has its commit.
func withRemote(t *testing.T) (dir, remote string) {
	t.Helper()
	dir, remote = newRepo(t), filepath.Join(t.TempDir(), "fleet.git")
	run(t, dir, "init", "-q", "--bare", "-b", "main", remote)
	run(t, dir, "remote", "add", "origin", remote)
	run(t, dir, "push", "-q", "-u", "origin", "HEAD:main")
	return dir, remote
}

func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// commit commits everything in the working tree, as an operator does.
func commit(t *testing.T, dir, message string) {
	t.Helper()
	run(t, dir, "add", "-A")
	run(t, dir, "commit", "-q", "--no-verify", "-m", message)
}

func open(t *testing.T, dir string, files Files) *Checkout {
	t.Helper()
	c, err := Open(t.Context(), dir, files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

const compose = "services: {web: {image: \"nginx:1\"}}\n"

// TestWhichFilesAreTheFleets: the newest commit's, what a commit of everything would
// have, or what the next commit has.
func TestWhichFilesAreTheFleets(t *testing.T) {
	t.Parallel()
	dir := newRepo(t)
	write(t, dir, "stacks/one/compose.yaml", compose)
	commit(t, dir, "one")
	write(t, dir, "stacks/two/compose.yaml", compose)
	run(t, dir, "add", "stacks/two")
	write(t, dir, "stacks/three/compose.yaml", compose)
	for files, want := range map[Files][]string{Committed: {"one"}, Staged: {"one", "two"}, WorkTree: {"one", "three", "two"}} {
		c := open(t, filepath.Join(dir, "stacks"), files) // a folder in it will do
		var got []string
		for _, st := range c.Fleet.Stacks {
			if st.Name != "hello" { // the first commit's example
				got = append(got, st.Name)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || string(c.Commit) != run(t, dir, "rev-parse", "HEAD") {
			t.Errorf("%v at %s (-want +got):\n%s", files, c.Commit, diff)
		}
	}
}

// TestAFileIsTheCommits, whatever the working tree has by now; once closed it is gone.
func TestAFileIsTheCommits(t *testing.T) {
	t.Parallel()
	dir := newRepo(t)
	c := open(t, dir, Committed)
	write(t, dir, fleet.File, "not this\n")
	content, err := c.File(fleet.File)
	if err != nil || bytes.Contains(content, []byte("not this")) {
		t.Errorf("%q, %v", content, err)
	}
	if _, err := c.File("hosts/alpha.pub"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(c.Export); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left in the temporary folder: %v", err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

// TestOpenFiles takes the working tree as it is, also one that does not load.
func TestOpenFiles(t *testing.T) {
	t.Parallel()
	dir := newRepo(t)
	write(t, dir, fleet.File, "{")
	c, err := OpenFiles(t.Context(), dir)
	if err != nil || c.Export != dir || c.Repository != nil {
		t.Fatalf("%+v, %v", c, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, fleet.File)); err != nil {
		t.Errorf("closing removed the working tree: %v", err)
	}
	if _, err := Open(t.Context(), dir, WorkTree); err == nil {
		t.Error("files that do not load are opened")
	}
	if _, err := OpenFiles(t.Context(), t.TempDir()); err == nil || fault.Hint(err) != "salvor init DIR" {
		t.Errorf("no repository: %v, hint %q", err, fault.Hint(err))
	}
}

// TestAnEarlierCommit is opened with the files that it had.
func TestAnEarlierCommit(t *testing.T) {
	t.Parallel()
	dir := newRepo(t)
	first := git.Commit(run(t, dir, "rev-parse", "HEAD"))
	good, err := os.ReadFile(filepath.Join(dir, fleet.File))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, fleet.File, "{")
	commit(t, dir, "broken")
	broken := git.Commit(run(t, dir, "rev-parse", "HEAD"))
	write(t, dir, fleet.File, string(good))
	write(t, dir, "stacks/one/compose.yaml", compose)
	commit(t, dir, "one")
	c := open(t, dir, Committed)
	then, err := c.At(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	defer then.Close()
	if _, declared := then.Fleet.Stack("one"); declared || then.Commit != first || then.Export == c.Export {
		t.Errorf("%s has what came later", then.Commit)
	}
	if _, err := c.At(t.Context(), broken); !errors.Is(err, ErrNotLoaded) {
		t.Errorf("a commit that does not load: %v", err)
	}
	if _, err := c.At(t.Context(), git.Commit(strings.Repeat("0", 40))); err == nil || errors.Is(err, ErrNotLoaded) {
		t.Errorf("no such commit: %v", err)
	}
}

// TestWhatNoHostGets is reported: links, which Git leaves out, and pointers of Git LFS.
func TestWhatNoHostGets(t *testing.T) {
	t.Parallel()
	dir := newRepo(t)
	write(t, dir, "stacks/one/compose.yaml", compose)
	write(t, dir, "stacks/one/big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "stacks/one/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	commit(t, dir, "one")
	got := map[string]string{}
	for _, f := range open(t, dir, Committed).Noticed {
		if f.Code != finding.NotInGit || f.Fix == "" {
			t.Errorf("%+v", f)
		}
		got[f.Subject] = string(f.Severity) + " " + f.Stack
	}
	want := map[string]string{"stacks/one/link": "fatal one", "stacks/one/big.bin": "warning ", "elsewhere": "warning "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestACommitThatIsNotSigned is refused once the repository says who signs.
func TestACommitThatIsNotSigned(t *testing.T) {
	t.Parallel()
	dir := newRepo(t)
	open(t, dir, Committed)
	run(t, dir, "config", "--local", "gpg.format", "ssh")
	write(t, dir, "signers", "* namespaces=\"git\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGHfZk0Wq3DyYtXHhG1CmTdkMUfHUFYDSwIFHTk9SYqI\n")
	content, err := os.ReadFile(filepath.Join(dir, fleet.File))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, fleet.File, string(content)+"\ngit: {signers: signers}\n")
	commit(t, dir, "signed from now on, but it is not")
	if _, err := Open(t.Context(), dir, Committed); !errors.Is(err, git.ErrUnsigned) || fault.Hint(err) == "" {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
	if c, err := Open(t.Context(), dir, WorkTree); err != nil {
		t.Errorf("what is not committed yet: %v", err)
	} else if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// rules are those of a checkout under test, which note what was called.
func rules(log *[]string) Rules {
	note := func(what string) { *log = append(*log, what) }
	return Rules{
		Complete: func(_ context.Context, files map[string][]byte) (map[string][]byte, error) {
			note("complete")
			files["completed"] = []byte("x")
			return files, nil
		},
		Making: func(context.Context, map[string][]byte) error { note("make"); return nil },
		Sign: func(_ context.Context, files map[string][]byte, all bool) (map[string][]byte, error) {
			note(map[bool]string{true: "sign all", false: "sign"}[all])
			files["signed.sig"] = []byte("x")
			return files, nil
		},
		Published: func(context.Context) error { note("published"); return nil },
		TakenBack: func() { note("taken back") },
	}
}

// TestToMemory: what is added to the exported files from then on is on no disk, and goes
// with the command.
func TestToMemory(t *testing.T) {
	c := open(t, newRepo(t), Committed)
	before := c.Export
	want, err := c.File("fleet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ToMemory(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.File("fleet.yaml"); err != nil || string(got) != string(want) {
		t.Errorf("%v: %s", err, got)
	}
	if _, err := memdir.KindOf(c.Export); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(c.Export, "added"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Stat(os.DirFS(before), "added"); err != nil {
		t.Errorf("who has the folder's name does not find it: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{before, c.Export} {
		if _, err := os.Lstat(folder); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", folder, err)
		}
	}
}
