package cache

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/blob"
	"salvor/internal/blob/blobtest"
)

func TestStore(t *testing.T) {
	for name, all := range map[string]bool{"by kind": false, "at once": true} {
		t.Run(name, func(t *testing.T) {
			blobtest.Run(t, func(t *testing.T) blob.Store {
				s := New(&blobtest.Memory{}, t.TempDir())
				if all {
					if err := s.ListAll(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				return s
			})
		})
	}
}

// TestListedAtOnce: nothing is asked again but locks, once those that were left behind were
// shown, and what this one stores and deletes is known.
func TestListedAtOnce(t *testing.T) {
	r := newRemote()
	lock, pack, key := r.put(t, "locks/", "lock"), r.put(t, "data/ab/", "pack"), r.put(t, "keys/", "key")
	r.put(t, configName, "config")
	s := New(r, t.TempDir())
	if err := s.ListAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	var asked []string
	r.Fail = func(op, p string) error {
		asked = append(asked, op+" "+p)
		return nil
	}
	if _, err := s.Put(t.Context(), "data/ab/new", strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), pack); err != nil {
		t.Fatal(err)
	}
	data, err := s.List(t.Context(), "data")
	if diff := cmp.Diff([]blob.Object{{Path: "ab/new", Size: 1}}, data); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for p, want := range map[string]error{configName: nil, key: nil, "index/" + digest(nil): blob.ErrNotExist} {
		if _, err := s.Stat(t.Context(), p); !errors.Is(err, want) {
			t.Errorf("%s: %v", p, err)
		}
	}
	left, err := s.List(t.Context(), lockDir)
	if len(left) != 1 || err != nil {
		t.Errorf("%v, %v", left, err)
	}
	remove(t, r, lock)
	locks, err := s.List(t.Context(), lockDir)
	if len(locks) != 0 || err != nil {
		t.Errorf("%v, %v", locks, err)
	}
	if diff := cmp.Diff([]string{"put data/ab/new", "delete " + pack, "delete " + lock, "list locks"}, asked); diff != "" {
		t.Error(diff)
	}
}

// A remote is a folder whose downloads are counted.
type remote struct {
	blobtest.Memory
	gets int
}

func newRemote() *remote {
	r := &remote{}
	r.Fail = func(op, _ string) error {
		if op == "get" {
			r.gets++
		}
		return nil
	}
	return r
}

func (r *remote) put(t *testing.T, p, content string) string {
	t.Helper()
	if strings.HasSuffix(p, "/") {
		p += digest([]byte(content))
	}
	if _, err := r.Put(t.Context(), p, strings.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	return p
}

// look lists a folder, or looks the configuration up, and reads an object.
func look(t *testing.T, s *Store, p string) (string, error) {
	t.Helper()
	var err error
	if p == configName {
		_, err = s.Stat(t.Context(), p)
	} else {
		_, err = s.List(t.Context(), filepath.Dir(p))
	}
	if err != nil && !errors.Is(err, blob.ErrNotExist) {
		t.Fatal(err)
	}
	return read(t, s, p)
}

func read(t *testing.T, s *Store, p string) (string, error) {
	t.Helper()
	r, err := s.Get(t.Context(), p, 0, -1)
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(r)
	return string(content), errors.Join(err, r.Close())
}

// TestWhatTheCacheAnswers: bytes that the remote has listed, and nothing else.
func TestWhatTheCacheAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, r *remote, dir, snapshot string)
		want   string // of the snapshot; "" where it is gone
		gets   int    // for the snapshot, a key and the configuration
	}{
		"nothing has changed": {want: "snapshot"},
		"the snapshot was deleted": {
			change: func(t *testing.T, r *remote, _, snapshot string) { remove(t, r, snapshot) }, gets: 1,
		},
		"the remote has it with another size": {
			change: func(t *testing.T, r *remote, _, snapshot string) { r.put(t, snapshot, "cut") }, want: "cut", gets: 1,
		},
		"the copy is damaged": {
			change: func(t *testing.T, _ *remote, dir, snapshot string) { flip(t, filepath.Join(dir, snapshot)) }, want: "snapshot", gets: 1,
		},
		"the configuration's copy is damaged": {
			change: func(t *testing.T, _ *remote, dir, _ string) { flip(t, filepath.Join(dir, configName)) }, want: "snapshot", gets: 1,
		},
		"the copies were deleted": {
			change: func(t *testing.T, _ *remote, dir, _ string) {
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}, want: "snapshot", gets: 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, dir := newRemote(), filepath.Join(t.TempDir(), "cache")
			snapshot, key := r.put(t, "snapshots/", "snapshot"), r.put(t, "keys/", "key")
			r.put(t, configName, "config")
			before := New(r, dir)
			for _, p := range []string{snapshot, key, configName} {
				if _, err := look(t, before, p); err != nil {
					t.Fatal(err)
				}
			}
			if c.change != nil {
				c.change(t, r, dir, snapshot)
			}
			r.gets = 0
			now := New(r, dir)
			got, err := look(t, now, snapshot)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
			for p, want := range map[string]string{key: "key", configName: "config"} {
				if got, err := look(t, now, p); got != want || err != nil {
					t.Errorf("%s: %q, %v", p, got, err)
				}
			}
			if r.gets != c.gets {
				t.Errorf("%d downloads, want %d", r.gets, c.gets)
			}
		})
	}
}

func remove(t *testing.T, r *remote, p string) {
	t.Helper()
	if err := r.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func flip(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-1] ^= 1
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestUnlistedIsReadFromTheRemote: a copy does not stand for an object that the remote
// was not asked about since.
func TestUnlistedIsReadFromTheRemote(t *testing.T) {
	r, dir := newRemote(), t.TempDir()
	p := r.put(t, "snapshots/", "snapshot")
	if _, err := look(t, New(r, dir), p); err != nil {
		t.Fatal(err)
	}
	remove(t, r, p)
	if got, err := read(t, New(r, dir), p); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestWhatIsStoredIsReadBack from the remote, also where the same was there before.
func TestWhatIsStoredIsReadBack(t *testing.T) {
	r, s := newRemote(), New(newRemote(), t.TempDir())
	s.Store = r
	p := r.put(t, "index/", "index")
	if _, err := look(t, s, p); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), p, bytes.NewReader([]byte("index")), 5); err != nil {
		t.Fatal(err)
	}
	r.put(t, p, "other") // what the remote made of it
	if got, err := read(t, s, p); got != "other" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestCopiesAreBounded by what the repository has: of packs and locks there are none, and
// none of what is gone; others of this computer can't read them.
func TestCopiesAreBounded(t *testing.T) {
	r, dir := newRemote(), filepath.Join(t.TempDir(), "cache")
	gone, pack := r.put(t, "index/", "old"), r.put(t, "data/ab/", "pack")
	lock, damaged := r.put(t, "locks/", "lock"), r.put(t, "keys/"+digest([]byte("key")), "kex")
	s := New(r, dir)
	for _, p := range []string{gone, pack, lock, damaged} {
		if _, err := look(t, s, p); err != nil {
			t.Fatal(err)
		}
	}
	stays := r.put(t, "index/", "new")
	remove(t, r, gone)
	if _, err := look(t, s, stays); err != nil {
		t.Fatal(err)
	}
	var kept []string
	err := filepath.WalkDir(dir, func(at string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %s", at, info.Mode())
		}
		if !d.IsDir() {
			kept = append(kept, strings.TrimPrefix(at, dir+"/"))
		}
		return nil
	})
	if err != nil || len(kept) != 1 || kept[0] != stays {
		t.Errorf("%q, %v", kept, err)
	}
}
