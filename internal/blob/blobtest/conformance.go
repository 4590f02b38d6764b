package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/blob"
)

const largeSize = 64 << 20

// Run checks everything that blob.Store promises. newStore returns an empty
// store; it is called once for each property.
func Run(t *testing.T, newStore func(t *testing.T) blob.Store) {
	t.Helper()
	properties := []struct {
		name  string
		check func(*testing.T, blob.Store)
	}{
		{"what was put is got, looked up and listed", testRoundTrip},
		{"names with spaces, unicode and percent", testNames},
		{"ranges", testRanges},
		{"overwriting replaces the content", testOverwrite},
		{"an empty object", testEmpty},
		{"a large object", testLarge},
		{"listing is recursive, sorted and relative", testList},
		{"what is missing is ErrNotExist", testMissing},
		{"deleting twice", testDeleteTwice},
		{"a path that leaves the folder is refused", testEscape},
		{"content of the wrong size leaves nothing", testWrongSize},
		{"content of the wrong size keeps the old object", testWrongSizeOverOld},
		{"content that fails leaves nothing", testBrokenContent},
		{"cancelled while uploading leaves nothing", testCancel},
		{"nothing happens after the context ended", testEnded},
		{"concurrent puts", testConcurrent},
		{"concurrent puts of one name leave one of them", testRace},
	}
	for _, p := range properties {
		t.Run(p.name, func(t *testing.T) { p.check(t, newStore(t)) })
	}
}

func put(t *testing.T, s blob.Store, path, content string) {
	t.Helper()
	proof, err := s.Put(t.Context(), path, strings.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatalf("Put(%q): %v", path, err)
	}
	if proof.Size != int64(len(content)) || proof.By == "" {
		t.Errorf("Put(%q) proves %+v, want size %d and how it was verified", path, proof, len(content))
	}
}

func get(t *testing.T, s blob.Store, path string, offset, length int64) string {
	t.Helper()
	r, err := s.Get(t.Context(), path, offset, length)
	if err != nil {
		t.Fatalf("Get(%q): %v", path, err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatalf("Get(%q): %v", path, err)
	}
	return string(b)
}

func list(t *testing.T, s blob.Store, dir string) []blob.Object {
	t.Helper()
	found, err := s.List(t.Context(), dir)
	if err != nil {
		t.Fatalf("List(%q): %v", dir, err)
	}
	return found
}

// wantNothing checks that there is no trace of a name.
func wantNothing(t *testing.T, s blob.Store, path string) {
	t.Helper()
	if _, err := s.Stat(t.Context(), path); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("Stat(%q) says %v, want ErrNotExist", path, err)
	}
	if found := list(t, s, ""); len(found) != 0 {
		t.Errorf("the store holds %v, want nothing", found)
	}
}

func testRoundTrip(t *testing.T, s blob.Store) {
	put(t, s, "file", "content")
	put(t, s, "a/b/c/d/e/f", "deep")
	if got := get(t, s, "file", 0, -1); got != "content" {
		t.Errorf("got %q", got)
	}
	if got := get(t, s, "a/b/c/d/e/f", 0, -1); got != "deep" {
		t.Errorf("got %q", got)
	}
	o, err := s.Stat(t.Context(), "a/b/c/d/e/f")
	if want := (blob.Object{Path: "a/b/c/d/e/f", Size: 4}); err != nil || o != want {
		t.Errorf("Stat is %v, %v; want %v", o, err, want)
	}
	want := []blob.Object{{Path: "a/b/c/d/e/f", Size: 4}, {Path: "file", Size: 7}}
	if diff := cmp.Diff(want, list(t, s, "")); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

func testNames(t *testing.T, s blob.Store) {
	names := []string{"with space", "50%", "%41", "ünïcödé 雪", "a+b&c=d#e", "semi;colon", "dir with space/x y%20z", ".hidden", "UPPER/lower"}
	for _, name := range names {
		put(t, s, name, name)
	}
	for _, name := range names {
		if got := get(t, s, name, 0, -1); got != name {
			t.Errorf("%q holds %q", name, got)
		}
	}
	if found := list(t, s, ""); len(found) != len(names) {
		t.Errorf("%d objects listed, want %d: %v", len(found), len(names), found)
	}
	for _, name := range names {
		if err := s.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	if found := list(t, s, ""); len(found) != 0 {
		t.Errorf("left over: %v", found)
	}
}

func testRanges(t *testing.T, s blob.Store) {
	const content = "0123456789"
	put(t, s, "f", content)
	for _, r := range []struct {
		offset, length int64
		want           string
	}{
		{0, -1, content}, {0, 10, content}, {0, 1, "0"}, {9, 1, "9"}, {3, 4, "3456"}, {5, -1, "56789"},
		{5, 100, "56789"}, {10, -1, ""}, {10, 5, ""}, {20, -1, ""}, {3, 0, ""},
	} {
		if got := get(t, s, "f", r.offset, r.length); got != r.want {
			t.Errorf("Get(%d, %d) is %q, want %q", r.offset, r.length, got, r.want)
		}
	}
}

func testOverwrite(t *testing.T, s blob.Store) {
	for _, content := range []string{"first, and long", "second", "", "the third one is the longest of them"} {
		put(t, s, "f", content)
		if got := get(t, s, "f", 0, -1); got != content {
			t.Errorf("got %q, want %q", got, content)
		}
	}
	if found := list(t, s, ""); len(found) != 1 {
		t.Errorf("overwriting left %v", found)
	}
}

func testEmpty(t *testing.T, s blob.Store) {
	put(t, s, "empty", "")
	if got := get(t, s, "empty", 0, -1); got != "" {
		t.Errorf("got %q", got)
	}
	if diff := cmp.Diff([]blob.Object{{Path: "empty"}}, list(t, s, "")); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

func testLarge(t *testing.T, s blob.Store) {
	if testing.Short() {
		t.Skip("64 MiB, not with -short")
	}
	want := sha256.New()
	content := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), largeSize), want)
	if _, err := s.Put(t.Context(), "large", content, largeSize); err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(t.Context(), "large", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	got := sha256.New()
	n, err := io.Copy(got, r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	if n != largeSize || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Errorf("%d bytes came back, and not the same", n)
	}
	if tail := get(t, s, "large", largeSize-3, -1); len(tail) != 3 {
		t.Errorf("the last 3 bytes are %d", len(tail))
	}
}

func testList(t *testing.T, s blob.Store) {
	for _, name := range []string{"b/2", "a", "b/1", "b/sub/3", "bb/x"} {
		put(t, s, name, name)
	}
	for dir, want := range map[string][]blob.Object{
		"":      {{Path: "a", Size: 1}, {Path: "b/1", Size: 3}, {Path: "b/2", Size: 3}, {Path: "b/sub/3", Size: 7}, {Path: "bb/x", Size: 4}},
		"b":     {{Path: "1", Size: 3}, {Path: "2", Size: 3}, {Path: "sub/3", Size: 7}},
		"b/sub": {{Path: "3", Size: 7}},
		"none":  nil,
	} {
		if diff := cmp.Diff(want, list(t, s, dir)); diff != "" {
			t.Errorf("List(%q) (-want +got):\n%s", dir, diff)
		}
	}
}

func testMissing(t *testing.T, s blob.Store) {
	put(t, s, "dir/file", "x")
	for _, name := range []string{"none", "dir/none", "none/none", "dir"} {
		if _, err := s.Stat(t.Context(), name); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("Stat(%q): %v, want ErrNotExist", name, err)
		}
		if _, err := s.Get(t.Context(), name, 0, -1); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("Get(%q): %v, want ErrNotExist", name, err)
		}
		if err := s.Delete(t.Context(), name); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("Delete(%q): %v, want ErrNotExist", name, err)
		}
	}
	if got := get(t, s, "dir/file", 0, -1); got != "x" {
		t.Errorf("got %q", got)
	}
}

func testDeleteTwice(t *testing.T, s blob.Store) {
	put(t, s, "d/f", "x")
	if err := s.Delete(t.Context(), "d/f"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "d/f"); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("the second Delete says %v, want ErrNotExist", err)
	}
	wantNothing(t, s, "d/f")
}

func testEscape(t *testing.T, s blob.Store) {
	for _, name := range []string{"", "/abs", "../up", "a/../../up", "a//b", "a/", "."} {
		if _, err := s.Put(t.Context(), name, strings.NewReader("x"), 1); err == nil {
			t.Errorf("Put(%q) succeeded", name)
		}
		if _, err := s.Stat(t.Context(), name); err == nil {
			t.Errorf("Stat(%q) succeeded", name)
		}
	}
}

func testWrongSize(t *testing.T, s blob.Store) {
	for _, c := range []struct {
		content string
		size    int64
	}{{"short", 10}, {"much too long", 5}, {"x", 0}, {"", 3}} {
		name := fmt.Sprintf("f%d", c.size)
		if _, err := s.Put(t.Context(), name, strings.NewReader(c.content), c.size); err == nil {
			t.Errorf("%d bytes stored as %d", len(c.content), c.size)
		}
		wantNothing(t, s, name)
	}
	if _, err := s.Put(t.Context(), "negative", strings.NewReader("x"), -1); err == nil {
		t.Error("a negative size was accepted")
	}
}

func testWrongSizeOverOld(t *testing.T, s blob.Store) {
	put(t, s, "f", "old")
	for _, size := range []int64{0, 3, 100} {
		if _, err := s.Put(t.Context(), "f", strings.NewReader("new one"), size); err == nil {
			t.Errorf("7 bytes stored as %d", size)
		}
		if got := get(t, s, "f", 0, -1); got != "old" {
			t.Errorf("after a Put that failed it holds %q, want the old content", got)
		}
	}
}

// brokenReader gives some bytes, does something, and then either fails or continues
// for ever.
type brokenReader struct {
	left int
	then func() error
}

func (r *brokenReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		if err := r.then(); err != nil {
			return 0, err
		}
	}
	r.left -= len(p)
	return len(p), nil
}

func testBrokenContent(t *testing.T, s blob.Store) {
	broken := errors.New("disk error")
	content := &brokenReader{left: 1 << 20, then: func() error { return broken }}
	if _, err := s.Put(t.Context(), "f", content, 8<<20); !errors.Is(err, broken) {
		t.Errorf("Put says %v, want the content's own error", err)
	}
	wantNothing(t, s, "f")
}

func testCancel(t *testing.T, s blob.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	content := &brokenReader{left: 1 << 20, then: func() error { cancel(); return nil }}
	if _, err := s.Put(ctx, "f", content, largeSize); !errors.Is(err, context.Canceled) {
		t.Errorf("Put says %v, want context.Canceled", err)
	}
	wantNothing(t, s, "f")
}

func testEnded(t *testing.T, s blob.Store) {
	put(t, s, "f", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func() error{
		"Put":    func() error { _, err := s.Put(ctx, "g", strings.NewReader("x"), 1); return err },
		"Get":    func() error { _, err := s.Get(ctx, "f", 0, -1); return err },
		"Stat":   func() error { _, err := s.Stat(ctx, "f"); return err },
		"List":   func() error { _, err := s.List(ctx, ""); return err },
		"Delete": func() error { return s.Delete(ctx, "f") },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s says %v, want context.Canceled", name, err)
		}
	}
	if diff := cmp.Diff([]blob.Object{{Path: "f", Size: 1}}, list(t, s, "")); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

func testConcurrent(t *testing.T, s blob.Store) {
	const n = 12
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			content := strings.Repeat(fmt.Sprint(i), 1000)
			if _, err := s.Put(t.Context(), fmt.Sprintf("dir/%d", i), strings.NewReader(content), int64(len(content))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range n {
		if got, want := get(t, s, fmt.Sprintf("dir/%d", i), 0, -1), strings.Repeat(fmt.Sprint(i), 1000); got != want {
			t.Errorf("object %d holds something else", i)
		}
	}
}

func testRace(t *testing.T, s blob.Store) {
	contents := []string{strings.Repeat("a", 5000), strings.Repeat("b", 5000), strings.Repeat("c", 5000)}
	var wg sync.WaitGroup
	for _, content := range contents {
		// one of them may lose with an error; what counts is what remains
		wg.Go(func() {
			if _, err := s.Put(t.Context(), "f", strings.NewReader(content), int64(len(content))); err != nil {
				t.Logf("a Put lost: %v", err)
			}
		})
	}
	wg.Wait()
	got := get(t, s, "f", 0, -1)
	if got != contents[0] && got != contents[1] && got != contents[2] {
		t.Errorf("the object is a mixture of %d bytes", len(got))
	}
	if found := list(t, s, ""); len(found) != 1 {
		t.Errorf("the store holds %v, want one object", found)
	}
}
