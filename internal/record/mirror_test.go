package record

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/blob/blobtest"
	"salvor/internal/sign"
	"salvor/internal/sign/signtest"
)

func mirrorOf(n int) Mirror { return Mirror{n, fmt.Sprintf("%040x", n)} }

func TestMirrors(t *testing.T) {
	store, k := &blobtest.Memory{}, signtest.NewKey()
	r, trusted := New(store), sign.Keys{k.Public()}
	if good, unread, err := r.Mirrors(t.Context(), trusted); err != nil || len(good)+len(unread) != 0 {
		t.Errorf("of nothing: %v, %v, %v", good, unread, err)
	}
	put(t, store, "mirror/notes.txt", "not ours")
	for _, n := range []int{9, 10, 11, 11, 100, 12} {
		if err := r.PutMirror(t.Context(), mirrorOf(n), []byte(mirrorOf(n).Commit), k, trusted); err != nil {
			t.Fatal(err)
		}
	}
	good, unread, err := r.Mirrors(t.Context(), trusted)
	if diff := cmp.Diff([]Mirror{mirrorOf(100), mirrorOf(12), mirrorOf(11)}, good); err != nil || diff != "" || len(unread) > 0 {
		t.Fatal(err, diff, unread)
	}
	content, err := r.ReadMirror(t.Context(), good[0], trusted)
	if err != nil || string(content) != good[0].Commit {
		t.Errorf("%q, %v", content, err)
	}
	if _, err := store.Stat(t.Context(), "mirror/notes.txt"); err != nil {
		t.Errorf("a file that is no mirror: %v", err)
	}
	if files, err := store.List(t.Context(), mirrorDir); err != nil || len(files) != 7 {
		t.Errorf("%d files are left: %v", len(files), err)
	}
}

// TestS02AMirrorWithoutTheFleetsSignatureIsNone tries what every host can write to the
// remote: junk of any number, a bundle of one's own, a statement that is signed by
// another key or for another mirror, and another content behind a good statement.
func TestS02AMirrorWithoutTheFleetsSignatureIsNone(t *testing.T) {
	store, k, other := &blobtest.Memory{}, signtest.NewKey(), signtest.NewKey()
	r, trusted := New(store), sign.Keys{k.Public()}
	for _, n := range []int{7, 8} {
		if err := r.PutMirror(t.Context(), mirrorOf(n), []byte(mirrorOf(n).Commit), k, trusted); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.PutMirror(t.Context(), mirrorOf(40), []byte("forged"), other, sign.Keys{other.Public()}); err != nil {
		t.Fatal(err)
	}
	signed, err := r.read(t.Context(), mirrorOf(8).statement())
	if err != nil {
		t.Fatal(err)
	}
	put(t, store, mirrorOf(50).statement(), string(signed)) // of another mirror
	put(t, store, mirrorOf(50).Path(), mirrorOf(8).Commit)
	put(t, store, mirrorOf(60).Path(), "no signature at all")
	put(t, store, mirrorOf(70).statement(), string(signed)) // no bundle at all
	put(t, store, mirrorOf(3).Path(), "old junk")
	put(t, store, mirrorOf(4).statement(), "old junk")
	put(t, store, "mirror/99999999-.bundle.age", "junk")
	put(t, store, "mirror/-1-a.bundle.age", "junk")

	good, unread, err := r.Mirrors(t.Context(), trusted)
	if diff := cmp.Diff([]Mirror{mirrorOf(8), mirrorOf(7)}, good); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	var named []string
	for _, u := range unread {
		named = append(named, u.Path)
	}
	for _, n := range []int{40, 50, 60, 3} {
		if !slices.Contains(named, mirrorOf(n).Path()) {
			t.Errorf("%s is not named among %v", mirrorOf(n).Path(), named)
		}
	}
	if _, err := r.ReadMirror(t.Context(), mirrorOf(40), trusted); !errors.Is(err, sign.ErrUntrusted) {
		t.Errorf("a forged mirror is read: %v", err)
	}
	put(t, store, mirrorOf(8).Path(), fmt.Sprintf("%040x", 9)) // of the same size
	if _, err := r.ReadMirror(t.Context(), mirrorOf(8), trusted); !errors.Is(err, sign.ErrUntrusted) {
		t.Errorf("another content behind a good signature is read: %v", err)
	}
	if good, _, err := r.Mirrors(t.Context(), nil); err != nil || len(good) > 0 {
		t.Errorf("who trusts no key believes %v, %v", good, err)
	}
}

// TestS02JunkOutlivesNoMirror: junk of high numbers pushes no mirror out.
func TestS02JunkOutlivesNoMirror(t *testing.T) {
	store, k := &blobtest.Memory{}, signtest.NewKey()
	r, trusted := New(store), sign.Keys{k.Public()}
	for _, n := range []int{1, 91, 92, 93, 94} {
		put(t, store, mirrorOf(n).Path(), "junk")
	}
	for n := 5; n < 10; n++ {
		if err := r.PutMirror(t.Context(), mirrorOf(n), []byte(mirrorOf(n).Commit), k, trusted); err != nil {
			t.Fatal(err)
		}
	}
	good, unread, err := r.Mirrors(t.Context(), trusted)
	if diff := cmp.Diff([]Mirror{mirrorOf(9), mirrorOf(8), mirrorOf(7)}, good); err != nil || diff != "" || len(unread) != 4 {
		t.Errorf("%v, %s, %v", err, diff, unread)
	}
}

func FuzzStated(f *testing.F) {
	k := signtest.NewKey()
	store := &blobtest.Memory{}
	r, trusted := New(store), sign.Keys{k.Public()}
	if err := r.PutMirror(f.Context(), mirrorOf(1), []byte("x"), k, trusted); err != nil {
		f.Fatal(err)
	}
	good, err := r.read(f.Context(), mirrorOf(1).statement())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"schema":1,"content":"{}","signature":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		store := &blobtest.Memory{}
		put(t, store, mirrorOf(1).statement(), string(data))
		s, err := New(store).stated(t.Context(), mirrorOf(1), trusted)
		if err == nil && s.Digest != digestOf([]byte("x")) || err != nil && !errors.Is(err, sign.ErrUntrusted) {
			t.Errorf("%+v, %v", s, err)
		}
	})
}
