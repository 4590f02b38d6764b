package git

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/controlrepo"
	"salvor/internal/fleet"
	"salvor/internal/lockfile"
)

func newRepo(t *testing.T) (*Repository, string) {
	t.Helper()
	needGit(t)
	dir := t.TempDir()
	g, _, err := Init(t.Context(), here{}, dir, first(t, controlrepo.Beginning{Name: "home"}), environ())
	if err != nil {
		t.Fatal(err)
	}
	return g, dir
}

func first(t *testing.T, b controlrepo.Beginning) First {
	t.Helper()
	files, message, err := b.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return First{Files: files, Message: message, Signers: b.Signers()}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func status(t *testing.T, g *Repository) map[string]string {
	t.Helper()
	all, err := g.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, c := range all {
		found[c.Path] = c.Status
	}
	return found
}

func TestCommitFilesLeavesOtherWorkAlone(t *testing.T) {
	g, dir := newRepo(t)
	write(t, dir, "README.md", "edited, not staged\n")
	write(t, dir, "staged.txt", "staged\n")
	git(t, dir, "add", "staged.txt")
	write(t, dir, "staged.txt", "staged, then edited\n")
	write(t, dir, "untracked.txt", "untracked\n")
	before := status(t, g)

	parent, err := g.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, err := g.CommitFiles(t.Context(), map[string][]byte{lockfile.Name: []byte("{}\n"), "sealed/alpha/hello.age": []byte("x"), "stacks/hello/compose.yaml": nil}, "place hello\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, status(t, g)); diff != "" {
		t.Errorf("uncommitted work changed (-before +after):\n%s", diff)
	}
	if got := read(t, dir, lockfile.Name) + read(t, dir, "sealed/alpha/hello.age"); got != "{}\nx" {
		t.Errorf("working tree has %q", got)
	}
	got := git(t, dir, "diff-tree", "-r", "--name-status", string(parent), string(id))
	if want := "M\tsalvor.lock\nA\tsealed/alpha/hello.age\nD\tstacks/hello/compose.yaml\n"; got != want {
		t.Errorf("commit changes\n%swant\n%s", got, want)
	}
	again, err := g.CommitFiles(t.Context(), map[string][]byte{lockfile.Name: []byte("{}\n")}, "again")
	if err != nil || again != id {
		t.Errorf("committing what is there = %s, %v, want %s", again, err, id)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".git", "salvor", "[uw]*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestCommitFilesMakesPrograms: a new file is executable where that is asked, one that Git
// has keeps its mode.
func TestCommitFilesMakesPrograms(t *testing.T) {
	g, dir := newRepo(t)
	for _, content := range []string{"#!/bin/sh\n", "#!/bin/sh\nexit 1\n"} {
		files := map[string][]byte{"stacks/a/run.sh": []byte(content), "stacks/a/b": []byte(content)}
		if _, err := g.CommitFiles(t.Context(), files, "programs", "stacks/a/run.sh"); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]fs.FileMode{"stacks/a/run.sh": 0o755, "stacks/a/b": 0o644} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
		if out := git(t, dir, "ls-tree", "HEAD", "stacks/a/run.sh"); !strings.HasPrefix(out, "100755 ") {
			t.Error(out)
		}
		if out := git(t, dir, "status", "--porcelain"); out != "" {
			t.Error(out)
		}
	}
}

func TestCommitFilesRefusesTouchedFiles(t *testing.T) {
	tests := map[string]func(t *testing.T, dir string){
		"edited":    func(t *testing.T, dir string) { write(t, dir, lockfile.Name, "mine") },
		"removed":   func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, lockfile.Name)) },
		"untracked": func(t *testing.T, dir string) { write(t, dir, "new.txt", "mine") },
		"ignored": func(t *testing.T, dir string) {
			write(t, dir, "new.txt", "mine")
			write(t, dir, ".git/info/exclude", "new.txt\n")
		},
		"staged": func(t *testing.T, dir string) {
			old := read(t, dir, lockfile.Name)
			write(t, dir, lockfile.Name, "mine")
			git(t, dir, "add", lockfile.Name)
			write(t, dir, lockfile.Name, old)
		},
		"folder in its place": func(t *testing.T, dir string) { write(t, dir, "new.txt/mine", "mine") },
		"file above it":       func(t *testing.T, dir string) { write(t, dir, "deep", "mine") },
		"link above it":       func(t *testing.T, dir string) { os.Symlink(t.TempDir(), filepath.Join(dir, "deep")) },
	}
	for name, touch := range tests {
		t.Run(name, func(t *testing.T) {
			g, dir := newRepo(t)
			touch(t, dir)
			before, head := status(t, g), git(t, dir, "rev-parse", "HEAD")
			_, err := g.CommitFiles(t.Context(), map[string][]byte{lockfile.Name: []byte("{}"), "new.txt": []byte("new"), "deep/new.txt": []byte("new")}, "x")
			if err == nil {
				t.Fatal("committed over somebody's work")
			}
			if !maps.Equal(before, status(t, g)) || head != git(t, dir, "rev-parse", "HEAD") {
				t.Error("a refused commit changed something")
			}
		})
	}
}

func TestCommitFilesLosesARaceCleanly(t *testing.T) {
	g, dir := newRepo(t)
	raced := *g
	raced.m = here{before: func(argv []string) {
		if strings.Contains(strings.Join(argv, " "), "update-ref") {
			git(t, dir, "commit", "-q", "--no-verify", "--allow-empty", "-m", "somebody else", "--only")
		}
	}}
	_, err := raced.CommitFiles(t.Context(), map[string][]byte{lockfile.Name: []byte("{}"), "new.txt": []byte("x")}, "x")
	if !errors.Is(err, ErrDiverged) {
		t.Fatalf("err = %v, want ErrDiverged", err)
	}
	if s := status(t, g); len(s) != 0 {
		t.Errorf("left behind: %v", s)
	}
	if _, err := os.Stat(filepath.Join(dir, "new.txt")); err == nil {
		t.Error("new.txt was left in the working tree")
	}
}

func TestCommitFilesResumes(t *testing.T) {
	g, dir := newRepo(t)
	write(t, dir, lockfile.Name, "{}") // as a call interrupted before the branch moved leaves it
	git(t, dir, "add", lockfile.Name)
	if _, err := g.CommitFiles(t.Context(), map[string][]byte{lockfile.Name: []byte("{}")}, "x"); err != nil {
		t.Fatal(err)
	}
	if s := status(t, g); len(s) != 0 {
		t.Errorf("left behind: %v", s)
	}
}

func TestCommitFilesRefusesPaths(t *testing.T) {
	g, _ := newRepo(t)
	for _, p := range []string{"", ".", "../x", "/x", "a/../../x", ".git/config", "a/.GIT/x", "a\nb"} {
		if _, err := g.CommitFiles(t.Context(), map[string][]byte{p: []byte("x")}, "x"); err == nil {
			t.Errorf("committed to %q", p)
		}
	}
}

func TestOddRepositories(t *testing.T) {
	needGit(t)
	t.Run("none", func(t *testing.T) {
		if _, err := Open(t.Context(), here{}, t.TempDir(), environ()); !errors.Is(err, ErrNoGit) {
			t.Errorf("err = %v, want ErrNoGit", err)
		}
	})
	t.Run("inside another", func(t *testing.T) {
		_, dir := newRepo(t)
		if _, err := Open(t.Context(), here{}, filepath.Join(dir, "stacks"), environ()); !errors.Is(err, ErrNoGit) {
			t.Errorf("err = %v, want ErrNoGit", err)
		}
	})
	t.Run("unborn", func(t *testing.T) {
		dir := t.TempDir()
		git(t, dir, "init", "-q", "-b", "main")
		g, err := Open(t.Context(), here{}, dir, environ())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Head(t.Context()); !errors.Is(err, ErrUnborn) {
			t.Errorf("Head: %v, want ErrUnborn", err)
		}
		if b, err := g.Branch(t.Context()); b != "main" || err != nil {
			t.Errorf("Branch = %q, %v", b, err)
		}
	})
	t.Run("detached", func(t *testing.T) {
		g, dir := newRepo(t)
		git(t, dir, "checkout", "-q", "--detach")
		if _, err := g.CommitFiles(t.Context(), map[string][]byte{"a": []byte("x")}, "x"); !errors.Is(err, ErrDetached) {
			t.Errorf("err = %v, want ErrDetached", err)
		}
	})
	t.Run("no remote", func(t *testing.T) {
		g, _ := newRepo(t)
		if err := g.Push(t.Context()); !errors.Is(err, ErrNoRemote) {
			t.Errorf("err = %v, want ErrNoRemote", err)
		}
	})
	t.Run("remote away", func(t *testing.T) {
		g, dir := newRepo(t)
		git(t, dir, "remote", "add", "origin", filepath.Join(t.TempDir(), "gone.git"))
		if err := g.Push(t.Context()); !errors.Is(err, ErrGitAway) {
			t.Errorf("Push: %v, want ErrGitAway", err)
		}
		if _, err := g.Fetch(t.Context()); !errors.Is(err, ErrGitAway) {
			t.Errorf("Fetch: %v, want ErrGitAway", err)
		}
	})
	t.Run("nobody", func(t *testing.T) {
		g, _ := newRepo(t)
		unknown := *g
		unknown.env = append(gitEnv(environ()[:3]), "GIT_AUTHOR_NAME=", "GIT_COMMITTER_NAME=")
		if _, err := unknown.CommitFiles(t.Context(), map[string][]byte{"a": []byte("x")}, "x"); err == nil || !strings.Contains(err.Error(), "who you are") {
			t.Errorf("err = %v", err)
		}
	})
}

// clones returns two clones of one bare repository that has one commit.
func clones(t *testing.T) (a, b *Repository, bare string) {
	t.Helper()
	a, dir := newRepo(t)
	bare = filepath.Join(t.TempDir(), "bare.git")
	git(t, dir, "init", "-q", "--bare", "-b", "main", bare)
	git(t, dir, "remote", "add", "origin", bare)
	if _, err := a.Fetch(t.Context()); !errors.Is(err, ErrUnborn) {
		t.Fatalf("Fetch from an empty remote: %v, want ErrUnborn", err)
	}
	if err := a.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "b")
	git(t, dir, "clone", "-q", bare, other)
	b, err := Open(t.Context(), here{}, other, environ())
	if err != nil {
		t.Fatal(err)
	}
	return a, b, bare
}

func TestPushIsACompareAndSwap(t *testing.T) {
	a, b, bare := clones(t)
	for round := range 5 {
		var ids [2]Commit
		var errs [2]error
		for i, g := range []*Repository{a, b} {
			id, err := g.CommitFiles(t.Context(), map[string][]byte{"round": {byte('a' + round), byte('0' + i)}}, "x")
			if err != nil {
				t.Fatal(err)
			}
			ids[i] = id
		}
		var wg sync.WaitGroup
		for i, g := range []*Repository{a, b} {
			wg.Go(func() { errs[i] = g.Push(t.Context()) })
		}
		wg.Wait()
		winner, loser := 0, 1
		if errs[0] != nil {
			winner, loser = 1, 0
		}
		if errs[winner] != nil || !errors.Is(errs[loser], ErrDiverged) {
			t.Fatalf("round %d: %v and %v, want one nil and one ErrDiverged", round, errs[0], errs[1])
		}
		if tip := strings.TrimSpace(git(t, bare, "rev-parse", "main")); tip != string(ids[winner]) {
			t.Fatalf("round %d: the remote has %s, want the winner's %s", round, tip, ids[winner])
		}
		lost := []*Repository{a, b}[loser]
		tip, err := lost.Fetch(t.Context())
		if err != nil || tip != ids[winner] {
			t.Fatalf("Fetch = %s, %v, want %s", tip, err, ids[winner])
		}
		if yes, err := lost.IsAncestor(t.Context(), tip, ids[loser]); yes || err != nil {
			t.Fatalf("IsAncestor = %v, %v", yes, err)
		}
		git(t, lost.dir, "reset", "-q", "--hard", string(tip))
	}
}

// TestPushNeverOverwrites is the race decided before the second push begins: the
// server's lock does not help there, only that the push is not a force.
func TestPushNeverOverwrites(t *testing.T) {
	a, b, bare := clones(t)
	var ids [2]Commit
	for i, g := range []*Repository{a, b} {
		id, err := g.CommitFiles(t.Context(), map[string][]byte{"x": {byte('0' + i)}}, "x")
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = id
	}
	if err := a.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Push(t.Context()); !errors.Is(err, ErrDiverged) {
		t.Errorf("the second push: %v, want ErrDiverged", err)
	}
	if tip := strings.TrimSpace(git(t, bare, "rev-parse", "main")); tip != string(ids[0]) {
		t.Errorf("the remote has %s, want the first push's %s", tip, ids[0])
	}
}

func TestPushSurvivesALostAnswer(t *testing.T) {
	a, _, _ := clones(t)
	if _, err := a.CommitFiles(t.Context(), map[string][]byte{"x": []byte("x")}, "x"); err != nil {
		t.Fatal(err)
	}
	u, err := a.Upstream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	head, err := a.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.explainPush(t.Context(), u, head, "", errors.New("connection lost")); err != nil {
		t.Errorf("a push that arrived is an error: %v", err)
	}
}

func TestPushNamesWhatTheServerRefused(t *testing.T) {
	a, _, bare := clones(t)
	write(t, bare, "hooks/pre-receive", "#!/bin/sh\necho no >&2\nexit 1\n")
	if err := os.Chmod(filepath.Join(bare, "hooks/pre-receive"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := a.CommitFiles(t.Context(), map[string][]byte{"x": []byte("x")}, "x"); err != nil {
		t.Fatal(err)
	}
	err := a.Push(t.Context())
	if err == nil || errors.Is(err, ErrDiverged) || errors.Is(err, ErrGitAway) || !strings.Contains(err.Error(), "pre-receive hook declined") {
		t.Errorf("err = %v, want the server's reason", err)
	}
}

func TestExport(t *testing.T) {
	g, dir := newRepo(t)
	write(t, dir, ".gitattributes", "secret.txt export-ignore\n*.txt text eol=crlf ident\n")
	write(t, dir, "secret.txt", "$Id$ is kept\n")
	write(t, dir, "run.sh", "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"ok": "stacks/hello", "stacks/up": "../run.sh", "dangling": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "--no-verify", "-m", "x")
	write(t, dir, "run.sh", "not committed")
	head, err := g.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if left, err := g.Export(t.Context(), head, out); err != nil || left != nil {
		t.Fatal(left, err)
	}
	if got := read(t, out, "secret.txt"); got != "$Id$ is kept\n" {
		t.Errorf("secret.txt = %q, want the bytes that Git holds", got)
	}
	if got := read(t, out, "stacks/up"); got != "#!/bin/sh\n" {
		t.Errorf("stacks/up leads to %q", got)
	}
	if info, err := os.Stat(filepath.Join(out, "run.sh")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("run.sh: %v, %v", info, err)
	}
	if _, err := controlrepo.Load(out, ""); err != nil {
		t.Errorf("the export does not load: %v", err)
	}
	if _, err := g.Export(t.Context(), head, out); err == nil {
		t.Error("exported over files")
	}
}

func TestExportLeavesOutLinksThatLeave(t *testing.T) {
	tests := map[string]map[string]string{
		"absolute":     {"a": "/etc/passwd"},
		"upwards":      {"stacks/a": "../../x"},
		"over another": {"deep/er/root": "../..", "deep/er/out": "root/../secret"},
	}
	for name, links := range tests {
		t.Run(name, func(t *testing.T) {
			g, dir := newRepo(t)
			for link, to := range links {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, link)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
					t.Fatal(err)
				}
			}
			git(t, dir, "add", "-A")
			git(t, dir, "commit", "-q", "--no-verify", "-m", "x")
			head, err := g.Head(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "out")
			write(t, filepath.Dir(out), "secret", "x")
			if err := os.Mkdir(out, 0o755); err != nil {
				t.Fatal(err)
			}
			left, err := g.Export(t.Context(), head, out)
			if err != nil || len(left) != 1 {
				t.Fatalf("left out %v, %v", left, err)
			}
			if _, err := os.Lstat(filepath.Join(out, left[0].Path)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("exported a link that leads out: %v", err)
			}
		})
	}
}

func TestInitMakesAValidRepository(t *testing.T) {
	needGit(t)
	dir := filepath.Join(t.TempDir(), "new")
	const recipient = "age1lfwkc64cxta67a06pflg8dkvsu88k6ywwekwne47vfcjf8h5fc7skv9s9w" // its key was thrown away
	recipients := fleet.Recipients{Operators: map[string]string{"ann": recipient}, Recovery: recipient}
	g, commit, err := Init(t.Context(), here{}, dir, first(t, controlrepo.Beginning{Name: "home", Recipients: recipients, Files: map[string][]byte{"recovery.age": []byte("x")}}), environ())
	if err != nil {
		t.Fatal(err)
	}
	if head, err := g.Head(t.Context()); head != commit || err != nil {
		t.Errorf("Head = %s, %v, want %s", head, err, commit)
	}
	if s := status(t, g); len(s) != 0 {
		t.Errorf("uncommitted: %v", s)
	}
	repo, err := controlrepo.Load(dir, "0.1.0")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(recipients, repo.Fleet.Recipients); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(filepath.Join(dir, ".git/hooks/pre-commit")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("pre-commit hook: %v, %v", info, err)
	}
	before := git(t, dir, "rev-parse", "HEAD")
	if _, _, err := Init(t.Context(), here{}, dir, first(t, controlrepo.Beginning{Name: "other"}), environ()); !errors.Is(err, ErrExists) {
		t.Errorf("a second init: %v, want ErrExists", err)
	}
	if before != git(t, dir, "rev-parse", "HEAD") {
		t.Error("a refused init made a commit")
	}
	if _, _, err := Init(t.Context(), here{}, filepath.Join(dir, "inner"), first(t, controlrepo.Beginning{Name: "other"}), environ()); !errors.Is(err, ErrNoGit) {
		t.Errorf("init inside another repository: %v, want ErrNoGit", err)
	}
}

// Git's ssh asked about an unknown host key where no one could answer, and the
// command hung: it knows the keys that the repository pins, and asks nothing.
func TestSSHAsksNothing(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "git", "init", "-q", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	options := ` -o StrictHostKeyChecking=yes -o 'GlobalKnownHostsFile=/etc/ssh/ssh_known_hosts "` + dir + `/hosts/known_hosts"'`
	for name, test := range map[string]struct {
		environ []string
		want    string
	}{
		"as usual":     {nil, "ssh -o BatchMode=yes" + options},
		"own command":  {[]string{"GIT_SSH_COMMAND=ssh -i key"}, "ssh -i key -o BatchMode=yes" + options},
		"own program":  {[]string{"GIT_SSH=/opt/my ssh"}, "'/opt/my ssh' -o BatchMode=yes" + options},
		"with windows": {[]string{"SSH_ASKPASS=/usr/bin/ask"}, "ssh" + options},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := Open(t.Context(), here{}, dir, append(test.environ, "PATH="+os.Getenv("PATH")))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, kv := range g.env {
				if value, is := strings.CutPrefix(kv, "GIT_SSH_COMMAND="); is {
					got = value // the last one counts
				}
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
