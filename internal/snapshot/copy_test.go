package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/blob/blobtest"
	"salvor/internal/secret"
	"salvor/internal/snapshot/repository"
)

// other is an empty repository of the lab's stack.
func (l *lab) other(t testing.TB) (Repository, *blobtest.Memory) {
	t.Helper()
	store := &blobtest.Memory{}
	r := Repository{ID: "4567", Store: store, Password: secret.NewString(strings.Repeat("o", 43))}
	if err := repository.Create(t.Context(), store, r.Password); err != nil {
		t.Fatal(err)
	}
	return r, store
}

func (l *lab) copyJob(to Repository, id string) Job {
	j := l.job()
	j.Repository, j.From = to, &Source{Repository: l.repo, Snapshot: id}
	return j
}

// TestACopy has the numbers and the content of what it is a copy of, can be restored from,
// and counts as a taking for the next look at the volumes.
func TestACopy(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	to, _ := l.other(t)
	write(t, filepath.Join(l.data, "note"), "one")
	l.settle(t)
	taken := l.take(t, nil)
	copied, err := l.Take(t.Context(), l.copyJob(to, taken.Snapshot.ID))
	if err != nil {
		t.Fatal(err)
	}
	a, b := taken.Snapshot, copied.Snapshot
	if a.ID == b.ID || a.Epoch != b.Epoch || a.Seq != b.Seq || copied.Verified == "" || copied.Skipped || len(copied.Known) != 1 || !copied.Spare.Whole() {
		t.Errorf("%+v, of %+v", copied, a)
	}
	again, err := l.Take(t.Context(), l.copyJob(to, taken.Snapshot.ID))
	if err != nil || !again.Skipped || again.Snapshot.ID != b.ID {
		t.Errorf("once more: %+v, %v", again, err)
	}
	j := l.job()
	j.Repository = to
	if r, same, err := l.Unchanged(t.Context(), j); err != nil || !same || r.Snapshot.ID != b.ID {
		t.Errorf("the volumes differ from the copy: %+v, %v", r, err)
	}
	l.repo = to
	if fetched, err := l.Fetch(t.Context(), l.restoreJob()); err != nil || fetched.Info.ID != b.ID {
		t.Errorf("%+v, %v", fetched, err)
	}
}

// TestAnInterruptedCopyIsMadeAgain, and nothing of it counts.
func TestAnInterruptedCopyIsMadeAgain(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	to, store := l.other(t)
	write(t, filepath.Join(l.data, "note"), "one")
	id := l.take(t, nil).Snapshot.ID
	for _, at := range []string{"data/", "index/", "snapshots/"} {
		store.Fail = func(op, p string) error {
			if op == "put" && strings.HasPrefix(p, at) {
				return errors.New("the line is cut")
			}
			return nil
		}
		if _, err := l.Take(t.Context(), l.copyJob(to, id)); err == nil || errors.Is(err, ErrNotCopied) {
			t.Errorf("%s: %v", at, err)
		}
		store.Fail = nil
		if listed, err := List(t.Context(), to); err != nil || len(listed.Infos) > 0 {
			t.Errorf("%s: %+v, %v", at, listed, err)
		}
	}
	if r, err := l.Take(t.Context(), l.copyJob(to, id)); err != nil || r.Skipped {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestWhatIsNotCopied: a source that is away or damaged, and what a repository that has lost
// something or has a newer snapshot would get.
func TestWhatIsNotCopied(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, l *lab, to Repository, store *blobtest.Memory) string{
		"the source is away": func(_ *testing.T, l *lab, _ Repository, _ *blobtest.Memory) string {
			l.store.Fail = func(string, string) error { return errors.New("no route") }
			return ""
		},
		"it is not there": func(*testing.T, *lab, Repository, *blobtest.Memory) string { return strings.Repeat("ab", 32) },
		"a pack is lost": func(t *testing.T, l *lab, to Repository, store *blobtest.Memory) string {
			t.Helper()
			if _, err := l.Take(t.Context(), l.copyJob(to, l.newest(t))); err != nil {
				t.Fatal(err)
			}
			packs, err := store.List(t.Context(), "data")
			if err == nil {
				err = store.Delete(t.Context(), "data/"+packs[0].Path)
			}
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(l.data, "note"), "two")
			return l.take(t, nil).Snapshot.ID
		},
		"there is a newer one": func(t *testing.T, l *lab, to Repository, _ *blobtest.Memory) string {
			t.Helper()
			j := l.job()
			j.Repository, j.Above = to, Mark{Epoch: 1, Seq: 7}
			if _, err := l.Take(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			return ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			to, store := l.other(t)
			write(t, filepath.Join(l.data, "note"), "one")
			id := l.take(t, nil).Snapshot.ID
			if other := spoil(t, l, to, store); other != "" {
				id = other
			}
			if r, err := l.Take(t.Context(), l.copyJob(to, id)); !errors.Is(err, ErrNotCopied) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

func (l *lab) newest(t *testing.T) string {
	t.Helper()
	listed, err := List(t.Context(), l.repo)
	if err != nil {
		t.Fatal(err)
	}
	newest, _ := Newest(listed.Infos)
	return newest.ID
}

// BenchmarkCopy compares what a second target costs: a copy after a small change, and reading
// the volumes for it.
//
//	go test ./internal/snapshot -run '^$' -bench Copy -benchtime 3x
func BenchmarkCopy(b *testing.B) {
	l := newLab(b)
	to, _ := l.other(b)
	bulk(b, l.data)
	changes := 0
	next := func() string {
		changes++
		if err := os.WriteFile(filepath.Join(l.data, "note"), []byte(fmt.Sprint(changes)), 0o644); err != nil {
			b.Fatal(err)
		}
		r, err := l.Take(b.Context(), l.job())
		if err != nil {
			b.Fatal(err)
		}
		return r.Snapshot.ID
	}
	if _, err := l.Take(b.Context(), l.copyJob(to, next())); err != nil {
		b.Fatal(err)
	}
	b.Run("copy", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			id := next()
			b.StartTimer()
			if _, err := l.Take(b.Context(), l.copyJob(to, id)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("take", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			next()
			b.StartTimer()
			j := l.job()
			j.Repository, j.Force = to, true
			if _, err := l.Take(b.Context(), j); err != nil {
				b.Fatal(err)
			}
		}
	})
}
