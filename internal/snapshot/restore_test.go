package snapshot

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"salvor/internal/blob"
	"salvor/internal/fleet"
)

// rich fills a folder with one of everything.
func rich(t *testing.T, dir string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "sub", "empty"), 0o750))
	write(t, filepath.Join(dir, "plain"), "hello\n")
	write(t, filepath.Join(dir, "sub", "nothing"), "")
	write(t, filepath.Join(dir, "odd \"näme\"\twith\\all"), "x")
	must(os.WriteFile(filepath.Join(dir, "large"), bytes.Repeat([]byte("0123456789abcdef"), 1<<18), 0o600))
	must(os.Link(filepath.Join(dir, "plain"), filepath.Join(dir, "sub", "hard")))
	must(os.Symlink("../nowhere", filepath.Join(dir, "sub", "link")))
	must(unix.Mkfifo(filepath.Join(dir, "fifo"), 0o620))
	must(os.Chown(filepath.Join(dir, "plain"), 1234, 2345))
	must(os.Lchown(filepath.Join(dir, "sub", "link"), 33, 34))
	must(unix.Chmod(filepath.Join(dir, "sub", "nothing"), 0o4751))
	must(unix.Setxattr(filepath.Join(dir, "large"), "user.salvor", []byte("kept\x00too"), 0))
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	must(err)
	must(sparse.Truncate(32 << 20))
	_, err = sparse.WriteAt([]byte("end"), 32<<20-3)
	must(errors.Join(err, sparse.Close()))
	must(os.Chmod(dir, 0o710))
	must(os.Chown(dir, 999, 999))
	must(os.Chtimes(filepath.Join(dir, "sub", "empty"), time.Time{}, time.Unix(1_000_000_000, 7)))
	must(os.Chtimes(dir, time.Time{}, time.Unix(1_100_000_000, 9)))
}

// manifest is the test's own account of a folder: everything that must survive.
func manifest(t *testing.T, root string) map[string]string {
	t.Helper()
	found, inodes := map[string]string{}, map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		rel, _ := filepath.Rel(root, path)
		line := fmt.Sprintf("%v %d:%d", info.Mode(), st.Uid, st.Gid)
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			value := make([]byte, 100)
			n, _ := unix.Getxattr(path, "user.salvor", value)
			line += fmt.Sprintf(" %v %d %x xattr=%q", info.ModTime().UTC(), len(content), sum(content), value[:max(n, 0)])
			if first, ok := inodes[st.Ino]; ok {
				line += " = " + first
			}
			inodes[st.Ino] = rel
		case info.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(path)
			line += " -> " + to
		case info.IsDir():
			line += fmt.Sprint(" ", info.ModTime().UTC())
		}
		found[rel] = line
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (l *lab) restoreJob() RestoreJob {
	return RestoreJob{Fleet: "home", Stack: "notes", Epoch: 2, Repository: l.repo, Volumes: l.job().Volumes}
}

func (l *lab) restore(t *testing.T, j RestoreJob) *Fetched {
	t.Helper()
	f, err := l.Fetch(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Place(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRestoreBringsEverythingBack(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	rich(t, l.data)
	single := filepath.Join(t.TempDir(), "app.db")
	write(t, single, "one file, bound alone")
	volumes := append(l.job().Volumes, Volume{Name: "./app.db", Path: single, Method: fleet.Live})
	want := manifest(t, l.data)
	l.take(t, func(j *Job) { j.Volumes = volumes })
	write(t, filepath.Join(l.data, "plain"), "written after the snapshot")
	write(t, single, "changed")

	j := l.restoreJob()
	j.Volumes = volumes
	f := l.restore(t, j)
	if diff := cmp.Diff(want, manifest(t, l.data)); diff != "" {
		t.Errorf("restored data differs (-want +got):\n%s", diff)
	}
	if got, _ := os.ReadFile(single); string(got) != "one file, bound alone" {
		t.Errorf("the file bound alone holds %q", got)
	}
	if f.Meta.Images["web"] == "" || string(f.Compose) != "services: {}\n" {
		t.Errorf("metadata %+v, compose %q", f.Meta, f.Compose)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(l.data, "sparse"), &st); err != nil || st.Blocks*512 > 4<<20 {
		t.Errorf("the sparse file takes %d bytes on disk, %v", st.Blocks*512, err)
	}
	if m := l.Marker("notes", "data"); m.State != MarkedReady || m.Epoch != 2 || m.Snapshot != f.Info.ID {
		t.Errorf("marker %+v", m)
	}
	kept, err := KeptOf(l.job().Volumes[0])
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept %v, %v", kept, err)
	}
	if got, _ := os.ReadFile(filepath.Join(kept[0].Path, "plain")); string(got) != "written after the snapshot" {
		t.Errorf("kept data holds %q", got)
	}
	if err := RemoveKept(l.job().Volumes[0], func(string) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if kept, _ := KeptOf(l.job().Volumes[0]); len(kept) != 1 {
		t.Errorf("data that no snapshot holds was deleted: %v", kept)
	}
}

// TestRestoreResumes cuts Place short after every stage, and begins again.
func TestRestoreResumes(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	rich(t, l.data)
	want := manifest(t, l.data)
	l.take(t, nil)
	volume := l.job().Volumes[0]
	for _, cut := range []struct {
		name   string
		after  stage
		middle func(t *testing.T, f *Fetched) // what happened of the next stage
	}{
		{name: "fetched", after: fetched},
		{name: "loaded", after: loaded},
		{name: "marked hydrating", after: placing},
		{name: "old data set aside", after: placing, middle: func(t *testing.T, _ *Fetched) {
			if err := setAside(volume, Marker{}, time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "swapped, not marked", after: placing, middle: func(t *testing.T, f *Fetched) {
			staging, err := fetcher{l.Engine}.staging("notes", volume)
			if err == nil {
				err = setAside(volume, Marker{}, time.Unix(2, 0))
			}
			if err == nil {
				err = os.Rename(staging, volume.Path)
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
		{name: "placed", after: placed},
	} {
		t.Run(cut.name, func(t *testing.T) {
			write(t, filepath.Join(l.data, "plain"), "older data")
			f, err := l.Fetch(t.Context(), l.restoreJob())
			if err != nil {
				t.Fatal(err)
			}
			state, err := fetcher{l.Engine}.loadFetch("notes")
			for err == nil && state.Volumes["data"] != cut.after {
				err = l.advance(t.Context(), f, volume, state)
			}
			if err != nil {
				t.Fatal(err)
			}
			if cut.middle != nil {
				cut.middle(t, f)
			}
			if m := l.Marker("notes", "data"); cut.after == placing && m.State != MarkedHydrating {
				t.Errorf("marker in the middle is %+v", m)
			}
			if again := l.restore(t, l.restoreJob()); !again.Reused {
				t.Error("what was fetched is fetched again")
			}
			if diff := cmp.Diff(want, manifest(t, l.data)); diff != "" {
				t.Errorf("restored data differs (-want +got):\n%s", diff)
			}
			if m := l.Marker("notes", "data"); m.State != MarkedReady {
				t.Errorf("marker is %+v", m)
			}
			kept, err := KeptOf(volume)
			for _, k := range kept { // the same moments are used again
				err = errors.Join(err, os.RemoveAll(k.Path))
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestVerifyFindsWhatDiffers(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	rich(t, l.data)
	r := l.take(t, nil)
	repo, err := openRepository(t.Context(), l.repo)
	if err != nil {
		t.Fatal(err)
	}
	snap, err := repo.Snapshot(t.Context(), r.Snapshot.ID)
	if err != nil {
		t.Fatal(err)
	}
	node, err := repo.Lookup(t.Context(), snap, "/salvor/notes/data")
	if err != nil {
		t.Fatal(err)
	}
	at := func(rel string) string { return filepath.Join(l.data, rel) }
	check := target{node: node, path: l.data}
	version := l.version(t)
	for name, damage := range map[string]func() error{
		"mode":           func() error { return os.Chmod(at("large"), 0o640) },
		"owner":          func() error { return os.Chown(at("large"), 5, 5) },
		"size":           func() error { return os.Truncate(at("large"), 5) },
		"time":           func() error { return os.Chtimes(at("large"), time.Unix(5, 0), time.Unix(5, 0)) },
		"attribute":      func() error { return unix.Removexattr(at("large"), "user.salvor") },
		"more attribute": func() error { return unix.Setxattr(at("sparse"), "user.more", []byte("x"), 0) },
		"missing":        func() error { return os.Remove(at("large")) },
		"too much":       func() error { return os.WriteFile(at("sub/empty/more"), nil, 0o600) },
		"hard link": func() error {
			content, _ := os.ReadFile(at("plain"))
			info, _ := os.Stat(at("plain"))
			return errors.Join(os.Remove(at("sub/hard")), os.WriteFile(at("sub/hard"), content, 0o644), os.Chown(at("sub/hard"), 1234, 2345),
				os.Chtimes(at("sub/hard"), info.ModTime(), info.ModTime()))
		},
		"symbolic link": func() error {
			return errors.Join(os.Remove(at("sub/link")), os.Symlink("elsewhere", at("sub/link")), os.Lchown(at("sub/link"), 33, 34))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l.restore(t, l.restoreJob())
			if err := check.verify(t.Context(), repo, version); err != nil {
				t.Fatalf("before: %v", err)
			}
			if err := damage(); err != nil {
				t.Fatal(err)
			}
			if err := check.verify(t.Context(), repo, version); !errors.Is(err, ErrDiffers) {
				t.Errorf("got %v, want ErrDiffers", err)
			}
		})
	}
}

func TestFetchNeedsRoom(t *testing.T) {
	t.Parallel()
	if err := hasRoom(t.TempDir(), 1<<60); !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), "needed") {
		t.Errorf("got %v", err)
	}
	if err := hasRoom(t.TempDir(), 1); err != nil {
		t.Errorf("got %v", err)
	}
}

// TestDamageIsFound flips or cuts what is on the remote.
func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"data", "index", "snapshots"} {
		for name, damage := range map[string]func([]byte) []byte{
			"flipped bit": func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b },
			"cut short":   func(b []byte) []byte { return b[:len(b)/2] },
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				l := newLab(t)
				rich(t, l.data)
				l.take(t, nil)
				objects, err := l.store.List(t.Context(), kind)
				if err != nil || len(objects) == 0 {
					t.Fatal(objects, err)
				}
				for _, o := range objects {
					path := kind + "/" + o.Path
					r, err := l.store.Get(t.Context(), path, 0, -1)
					if err != nil {
						t.Fatal(err)
					}
					content, _ := io.ReadAll(r)
					content = damage(content)
					if _, err := l.store.Put(t.Context(), path, bytes.NewReader(content), int64(len(content))); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := CheckShare(t.Context(), l.repo, "notes", 0, 1); !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "damaged: repository is damaged") {
					t.Errorf("check says %v", err)
				}
				_, err = l.Fetch(t.Context(), l.restoreJob())
				if mended := kind == "index"; mended != (err == nil) { // an index is rebuilt from the packs
					t.Errorf("fetched: %v", err)
				}
			})
		}
	}
}

// TestDamagedContentIsNotPlaced flips a bit in a pack of file content alone,
// which only restic reads.
func TestDamagedContentIsNotPlaced(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	content := make([]byte, 2<<20)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(l.data, "large"), string(content))
	l.take(t, nil)
	objects, err := l.store.List(t.Context(), "data")
	if err != nil {
		t.Fatal(err)
	}
	largest := slices.MaxFunc(objects, func(a, b blob.Object) int { return int(a.Size - b.Size) })
	r, err := l.store.Get(t.Context(), "data/"+largest.Path, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	pack, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	pack = bytes.Clone(pack)
	pack[1<<20] ^= 1
	if _, err := l.store.Put(t.Context(), "data/"+largest.Path, bytes.NewReader(pack), largest.Size); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(l.data, "large"), "what runs now")
	if _, err := l.Fetch(t.Context(), l.restoreJob()); err == nil {
		t.Error("damaged content was fetched")
	}
	if got, _ := os.ReadFile(filepath.Join(l.data, "large")); string(got) != "what runs now" {
		t.Error("the live data was touched")
	}
}

// TestRepositoryIsReadWithoutSalvor restores with restic alone, the repository copied
// to a folder and the password known: there is no lock-in.
func TestRepositoryIsReadWithoutSalvor(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	rich(t, l.data)
	want := manifest(t, l.data)
	l.take(t, nil)
	dir, target := t.TempDir(), t.TempDir()
	export(t, l, dir)
	for _, args := range [][]string{{"check", "--read-data"}, {"restore", "latest", "--target", target}} {
		cmd := exec.CommandContext(t.Context(), l.Restic, append([]string{"-r", dir, "--no-cache"}, args...)...)
		cmd.Env = []string{"RESTIC_PASSWORD=" + string(l.repo.Password.Reveal()), "HOME=" + t.TempDir()}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("restic %s: %v: %s", args[0], err, out)
		}
	}
	if diff := cmp.Diff(want, manifest(t, filepath.Join(target, inside("notes", "data")))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
