package record

import (
	"context"
	"io"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/blob"
	"salvor/internal/blob/blobtest"
)

// TestTheNewestProvenSnapshotIsRemembered is fault V12: the newest proven snapshot of
// a stack is kept next to its claims.
func TestTheNewestProvenSnapshotIsRemembered(t *testing.T) {
	store := &blobtest.Memory{}
	r := trusting(store)
	of := func(epoch, seq int, repository, id string) Proven {
		return Proven{Epoch: epoch, Seq: seq, Repository: repository, Snapshot: strings.Repeat(id, 64), At: time.Unix(9, 0).UTC(), Key: []byte("key"), Config: []byte("config")}
	}
	all := []Proven{of(1, 9, "aa01", "1"), of(1, 10, "aa01", "2"), of(1, 3, "bb02", "3"), of(2, 1, "aa01", "4")}
	for _, p := range all {
		if err := r.Prove(t.Context(), "notes", p); err != nil {
			t.Fatal(err)
		}
	}
	put(t, store, "proven/notes/Thumbs.db", "stray")
	got, ignored, err := r.Proven(t.Context(), "notes", 2)
	if diff := cmp.Diff([]Proven{all[2], all[3]}, got); diff != "" || err != nil || len(ignored) > 0 {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if files, err := store.List(t.Context(), "proven"); err != nil || len(files) != 3 {
		t.Errorf("left %v, %v", files, err)
	}
	if err := r.Prove(t.Context(), "notes", Proven{Epoch: 1, Seq: 1, Repository: "../x", Snapshot: "1"}); err == nil {
		t.Error("a name that leads elsewhere is written")
	}
}

// late is a store whose listings lack what was put last, for a while.
type late struct {
	blobtest.Memory
	lag  time.Duration
	last string
	at   time.Time
}

func (s *late) Put(ctx context.Context, p string, content io.Reader, size int64) (blob.Proof, error) {
	s.last, s.at = p, time.Now()
	return s.Memory.Put(ctx, p, content, size)
}

func (s *late) List(ctx context.Context, dir string) ([]blob.Object, error) {
	all, err := s.Memory.List(ctx, dir)
	return slices.DeleteFunc(all, func(o blob.Object) bool {
		return path.Join(dir, o.Path) == s.last && time.Since(s.at) < s.lag
	}), err
}

// TestARecordThatListsLateKnowsWhatItKnew: the note of a snapshot takes the place of the one
// before only once a listing shows it, so a host that looks meanwhile is not left with what
// salvor.lock knew long ago.
func TestARecordThatListsLateKnowsWhatItKnew(t *testing.T) {
	for _, c := range []struct {
		name string
		lag  time.Duration
		seq  int // that the record knows once the second snapshot's note is written
	}{{"soon", 3 * time.Second, 2}, {"never", time.Hour, 1}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &late{}
				r := trusting(store)
				note := func(seq int) error {
					return r.Prove(t.Context(), "notes", Proven{Epoch: 1, Seq: seq, Repository: "aa01", Snapshot: strings.Repeat("1", 64)})
				}
				known := func() int {
					t.Helper()
					found, _, err := r.Proven(t.Context(), "notes", 1)
					if err != nil || len(found) != 1 {
						t.Fatalf("the record knows %v, %v", found, err)
					}
					return found[0].Seq
				}
				if err := note(1); err != nil {
					t.Fatal(err)
				}
				store.lag = c.lag
				ended := make(chan error, 1)
				go func() { ended <- note(2) }()
				synctest.Wait()
				if seq := known(); seq != 1 {
					t.Errorf("before the note is listed, the record knows number %d", seq)
				}
				if err := <-ended; (err == nil) != (c.seq == 2) {
					t.Errorf("the note is written: %v", err)
				}
				if seq := known(); seq != c.seq {
					t.Errorf("then the record knows number %d, want %d", seq, c.seq)
				}
			})
		})
	}
}

// replacing is a store in which the first note that is read is replaced a moment before.
type replacing struct {
	blobtest.Memory
	replace func()
}

func (s *replacing) Get(ctx context.Context, p string, offset, length int64) (io.ReadCloser, error) {
	if replace := s.replace; replace != nil && strings.HasPrefix(p, "proven/") {
		s.replace = nil
		replace()
	}
	return s.Memory.Get(ctx, p, offset, length)
}

// TestANoteThatIsReplacedWhileItIsReadIsFoundAgain: the record is never empty between two notes.
// One that is listed forever, and can't be read, is an error and not an empty record.
func TestANoteThatIsReplacedWhileItIsReadIsFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &replacing{}
		r := trusting(store)
		note := func(seq int, id string) Proven {
			return Proven{Epoch: 1, Seq: seq, Repository: "aa01", Snapshot: strings.Repeat(id, 64)}
		}
		prove := func(p Proven) {
			if err := r.Prove(t.Context(), "notes", p); err != nil {
				t.Fatal(err)
			}
		}
		prove(note(1, "1"))
		store.replace = func() { prove(note(2, "2")) }
		got, _, err := r.Proven(t.Context(), "notes", 1)
		if err != nil || len(got) != 1 || got[0].Seq != 2 {
			t.Errorf("%+v, %v", got, err)
		}
		r = trusting(&stale{})
		if got, _, err := r.Proven(t.Context(), "notes", 1); err == nil {
			t.Errorf("what can't be read is %+v", got)
		}
	})
}

// stale is a store that lists a note which it does not have.
type stale struct{ blobtest.Memory }

func (s *stale) List(context.Context, string) ([]blob.Object, error) {
	return []blob.Object{{Path: "1-1-aa01-" + strings.Repeat("1", 64) + ".json"}}, nil
}
