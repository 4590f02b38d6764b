package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"salvor/internal/blob/blobtest"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/machine/local"
	"salvor/internal/progress"
	"salvor/internal/secret"
	"salvor/internal/snapshot/nsexec"
	"salvor/internal/snapshot/repository"
	"salvor/internal/snapshot/restic"
)

// TestMain makes this binary its own helper: the verbs that salvord has.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if verb, ok := verbs()[os.Args[1]]; ok {
			if err := verb(context.Background(), os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func verbs() map[string]func(context.Context, []string) error {
	return map[string]func(context.Context, []string) error{
		"ns-exec": func(context.Context, []string) error { return nsexec.Main(os.Stdin) },
		"guardian": func(ctx context.Context, args []string) error {
			q := &freezer{dir: args[0]}
			return Guard(ctx, hostpath.Layout{Run: args[0]}, args[1], q, os.Stdin, os.Stdout)
		},
		"pause-and-hang": pauseAndHang,
	}
}

// freezer is a Quiescer whose stack is a file "frozen" in a folder.
type freezer struct {
	dir   string
	mu    sync.Mutex // guards the counts
	count map[string]int
	onRun func() // called while the stack is paused
	loops int    // in so many pauses a container starts
	// onStart is what such a container does.
	onStart func()
}

func (f *freezer) tally(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == nil {
		f.count = map[string]int{}
	}
	f.count[what]++
}

func (f *freezer) Pause(_ context.Context, record func([]string) error) error {
	f.tally("pause")
	if err := record([]string{"web"}); err != nil {
		return err
	}
	if f.onRun != nil {
		f.onRun()
	}
	return os.WriteFile(filepath.Join(f.dir, "frozen"), nil, 0o600)
}

func (f *freezer) Started(context.Context, time.Time) ([]string, error) {
	if f.loops == 0 {
		return nil, nil
	}
	f.loops--
	f.onStart()
	return []string{"side"}, nil
}

func (f *freezer) Unpause(context.Context, ...string) error {
	f.tally("unpause")
	err := os.Remove(filepath.Join(f.dir, "frozen"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// lab is one host and one stack with a repository in memory.
type lab struct {
	Engine
	store *blobtest.Memory
	repo  Repository
	fz    *freezer
	data  string // the volume's folder
}

// newLab skips where restic or root is missing, unless the lab is required.
func newLab(t testing.TB) *lab {
	t.Helper()
	program := os.Getenv("SALVOR_RESTIC") // another version than the machine's
	if program == "" {
		program, _ = exec.LookPath("restic")
	}
	switch required := os.Getenv("SALVOR_LAB") == "require"; {
	case program == "" && required || os.Getuid() != 0 && required:
		t.Fatal("restic and root are required")
	case program == "":
		t.Skip("restic is not installed")
	case os.Getuid() != 0:
		t.Skip("mount namespaces need root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l := &lab{store: &blobtest.Memory{}, fz: &freezer{dir: filepath.Join(dir, "run")}, data: filepath.Join(dir, "docker", "notes_data", "_data")}
	l.Engine = Engine{
		Host: local.Machine{}, Helper: []string{self, "ns-exec"}, Guardian: []string{self, "guardian", filepath.Join(dir, "run")}, Restic: program,
		Dirs: hostpath.Layout{Run: filepath.Join(dir, "run"), State: filepath.Join(dir, "state"), Volumes: filepath.Join(dir, "docker")}, Progress: progress.Discard(),
	}
	l.repo = Repository{ID: "0123", Store: l.store, Password: secret.NewString(strings.Repeat("k", 43))}
	for _, d := range []string{l.fz.dir, l.data} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := repository.Create(t.Context(), l.store, l.repo.Password); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) job() Job {
	return Job{
		Fleet: "home", Stack: "notes", Host: "alpha", Epoch: 1, Commit: "c0ffee", Repository: l.repo, Quiescer: l.fz,
		Volumes: []Volume{{Name: "data", Path: l.data, Method: fleet.Pause}}, Compose: []byte("services: {}\n"),
		Images:     map[string]string{"web": "nginx@sha256:1"},
		PauseLimit: time.Minute, // of a machine that does much else
	}
}

func (l *lab) take(t *testing.T, change func(*Job)) Result {
	t.Helper()
	j := l.job()
	if change != nil {
		change(&j)
	}
	r, err := l.Take(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func pauseAndHang(ctx context.Context, args []string) error {
	dir := args[0]
	self, err := os.Executable()
	if err != nil {
		return err
	}
	e := Engine{Host: local.Machine{}, Guardian: []string{self, "guardian", dir}, Dirs: hostpath.Layout{Run: dir}}
	if _, err := e.guard(ctx, "notes", time.Hour); err != nil {
		return err
	}
	record := func(containers []string) error { return recordPaused(e.Dirs, "notes", time.Hour, containers) }
	if err := (&freezer{dir: dir}).Pause(ctx, record); err != nil {
		return err
	}
	fmt.Println("paused")
	select {} // until it is killed
}

func (l *lab) version(t *testing.T) restic.Version {
	t.Helper()
	v, err := restic.Detect(t.Context(), l.Host, l.Restic)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sum(b []byte) [sha256.Size]byte { return sha256.Sum256(b) }

// infos are the good snapshots.
func (l *lab) infos(t *testing.T) ([]Info, error) {
	t.Helper()
	listed, err := List(t.Context(), l.repo)
	return listed.Infos, err
}

// change rewrites an object of the repository, as a failing disk does.
func (l *lab) change(t *testing.T, path string, damage func([]byte) []byte) {
	t.Helper()
	r, err := l.store.Get(t.Context(), path, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	content = damage(bytes.Clone(content))
	if _, err := l.store.Put(t.Context(), path, bytes.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
}

func flip(content []byte) []byte {
	content[len(content)/2] ^= 1
	return content
}

// all returns the paths of a kind's objects.
func (l *lab) all(t *testing.T, kind string) []string {
	t.Helper()
	objects, err := l.store.List(t.Context(), kind)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, o := range objects {
		paths = append(paths, kind+"/"+o.Path)
	}
	return paths
}

func (l *lab) remove(t *testing.T, path string) {
	t.Helper()
	if err := l.store.Delete(t.Context(), path); err != nil {
		t.Fatal(err)
	}
}

// metaPack is the pack that a snapshot's metadata is in.
func (l *lab) metaPack(t *testing.T, id string) string {
	t.Helper()
	repo, err := openRepository(t.Context(), l.repo)
	if err != nil {
		t.Fatal(err)
	}
	s, err := repo.Snapshot(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	pack, err := repo.PackOf(t.Context(), s.Tree)
	if err != nil {
		t.Fatal(err)
	}
	return "data/" + pack[:2] + "/" + pack
}
