package recording

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
	"salvor/internal/record"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/snapshot"
)

// TestEveryRepositoryIsFound has a stack that was moved to new repositories, and began
// again before that, on a target that is gone and one that moved.
func TestEveryRepositoryIsFound(t *testing.T) {
	t.Parallel()
	known := seal.Recovery{Stack: "notes"}
	for _, r := range []seal.Repository{
		{ID: "a0", Target: "nas", Location: "old:snap/notes/a0"}, {ID: "a1", Target: "nas", Location: "old:snap/notes/a1"},
		{ID: "a2", Target: "nas", Location: "old:snap/notes/a2"}, {ID: "b1", Target: "gone", Location: "box:kept/notes/b1"},
	} {
		r.Password = secret.NewString("x")
		var err error
		if known, err = known.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	declared := &fleet.Fleet{Snapshots: []fleet.Target{{Name: "nas", Where: fleet.Location{Remote: "nas", Path: "salvor"}}}}
	of := func(p map[string]fleet.Placement) []Archive {
		a := Archives{Declared: declared, Lock: fleet.Lock{Stacks: p}, Recovery: func(string) (seal.Recovery, error) { return known, nil }}
		all, err := a.Of("notes")
		if err != nil {
			t.Fatal(err)
		}
		for i := range all {
			all[i].password = secret.Value{}
		}
		return all
	}
	on := func(id string, former int) Archive {
		return Archive{Stack: "notes", Target: "nas", ID: id, Former: former, Where: fleet.Location{Remote: "nas", Path: "salvor/notes/" + id}}
	}
	gone := Archive{Stack: "notes", Target: "gone", ID: "b1", Where: fleet.Location{Remote: "box", Path: "kept/notes/b1"}}
	apart := on("a0", 0)
	apart.Apart = true
	for name, test := range map[string]struct {
		placed map[string]fleet.Placement
		want   []Archive
	}{
		"placed":     {map[string]fleet.Placement{"notes": {Repositories: map[string]string{"nas": "a2"}, Former: map[string][]string{"nas": {"a1"}}}}, []Archive{on("a2", 0), on("a1", 1), gone, apart}},
		"retired":    {map[string]fleet.Placement{"notes": {Former: map[string][]string{"nas": {"a1", "a2"}}}}, []Archive{on("a2", 1), on("a1", 2), gone, apart}},
		"not placed": {nil, []Archive{on("a2", 0), on("a1", 1), on("a0", 2), gone}},
	} {
		if diff := cmp.Diff(test.want, of(test.placed), cmp.AllowUnexported(Archive{}, secret.Value{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestTrust takes the newest that the record or the lock knows; only the record knows
// which snapshots were proven before.
func TestTrust(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	said := record.Proven{Epoch: 2, Seq: 4, Snapshot: "bb", At: at, Known: []string{"aa", "bb"}}
	placed := func(seq, epoch int) fleet.Placement {
		return fleet.Placement{Epoch: 2, Proven: map[string]fleet.Proven{"r": {Epoch: epoch, Seq: seq, ID: "cc", At: at}}}
	}
	byRecord := snapshot.Trust{Epoch: 2, Known: said.Known, Proven: snapshot.Mark{Epoch: 2, Seq: 4, Repository: "r", ID: "bb", At: at}}
	for name, test := range map[string]struct {
		placed fleet.Placement
		said   record.Proven
		want   snapshot.Trust
	}{
		"nothing":                      {fleet.Placement{Epoch: 2}, record.Proven{}, snapshot.Trust{Epoch: 2}},
		"the record":                   {fleet.Placement{Epoch: 2}, said, byRecord},
		"the lock knows an older one":  {placed(3, 2), said, byRecord},
		"the lock knows a newer one":   {placed(5, 2), said, snapshot.Trust{Epoch: 2, Proven: snapshot.Mark{Epoch: 2, Seq: 5, Repository: "r", ID: "cc", At: at}}},
		"the lock knows a later epoch": {placed(5, 3), said, byRecord},
	} {
		if diff := cmp.Diff(test.want, trustOf(test.placed, test.said, "r")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
