package record

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
