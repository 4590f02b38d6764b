package record

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/blob/blobtest"
)

func TestMirrors(t *testing.T) {
	store := &blobtest.Memory{}
	r := New(store)
	if all, err := r.Mirrors(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("of nothing: %v, %v", all, err)
	}
	put(t, store, "mirror/notes.txt", "not ours")
	for _, n := range []int{9, 10, 11, 11, 100, 12} {
		m := Mirror{n, fmt.Sprintf("%040x", n)}
		if err := r.PutMirror(t.Context(), m, []byte(m.Commit)); err != nil {
			t.Fatal(err)
		}
	}
	all, err := r.Mirrors(t.Context())
	if diff := cmp.Diff([]Mirror{{100, fmt.Sprintf("%040x", 100)}, {12, fmt.Sprintf("%040x", 12)}, {11, fmt.Sprintf("%040x", 11)}}, all); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	content, err := r.ReadMirror(t.Context(), all[0])
	if err != nil || string(content) != all[0].Commit {
		t.Errorf("%q, %v", content, err)
	}
	if _, err := store.Stat(t.Context(), "mirror/notes.txt"); err != nil {
		t.Errorf("a file that is no mirror: %v", err)
	}
}
