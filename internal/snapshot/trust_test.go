package snapshot

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
)

// TestS13PlantedSnapshotsPushNothingOut: snapshots that were added to the proven ones
// are not counted by retention, whatever numbers and times they say: what it keeps and
// what it forgets is what was proven.
func TestS13PlantedSnapshotsPushNothingOut(t *testing.T) {
	t.Parallel()
	at := func(id string, epoch, seq int) Info {
		return Info{ID: id, Epoch: epoch, Seq: seq, Time: time.Unix(int64(1000+seq), 0), Volumes: []string{"data"}}
	}
	real := []Info{at("a", 1, 1), at("b", 1, 2), at("c", 2, 1)}
	listed := append([]Info{
		at("future", 9, 1), at("far", 2, maxCount), at("next", 2, 2), at("same", 2, 1), at("past1", 1, 2), at("past2", 1, 3), at("past3", 1, 4),
	}, real...)
	trust := Trust{Epoch: 2, Proven: Mark{Epoch: 2, Seq: 1, ID: "c"}, Known: []string{"a", "b", "c"}}
	l := trust.judge(Listing{Infos: listed})
	r := Retain(l.Infos, fleet.Keep{Last: 2})
	if diff := cmp.Diff(Retention{Keep: real[1:], Forget: real[:1]}, r); diff != "" {
		t.Errorf("retention (-want +got):\n%s", diff)
	}
	if newest, _ := Newest(l.Infos); newest.ID != "c" || len(l.Future) != 1 || len(l.Unproven) != 6 {
		t.Errorf("newest %s, of the future %v, unproven %v", newest.ID, l.Future, l.Unproven)
	}
	if found := l.Distrusted("notes"); len(found) != 2 {
		t.Errorf("findings %+v", found)
	}
	trust.Known = append(trust.Known, "next")
	if own := trust.judge(Listing{Infos: []Info{at("next", 2, 2), real[2]}}); len(own.Unproven) != 1 || len(own.Distrusted("notes")) != 0 {
		t.Errorf("one that this host began: %+v", own)
	}
	if all := (Trust{}).judge(Listing{Infos: listed}); len(all.Infos) != len(listed) {
		t.Errorf("where nothing is known: %+v", all)
	}
}

// TestS03ANewerSnapshotHidesNoLoss: something newer in the listing proves nothing about
// the proven one that is gone.
func TestS03ANewerSnapshotHidesNoLoss(t *testing.T) {
	t.Parallel()
	m := Mark{Epoch: 1, Seq: 2, ID: "b"}
	l := Trust{Epoch: 1, Proven: m}.judge(Listing{Infos: []Info{{ID: "planted", Epoch: 1, Seq: 9}, {ID: "a", Epoch: 1, Seq: 1}}})
	if f, lost := m.Lost(l, "notes", "nas"); !lost || f.Code != "snapshot-rolled-back" {
		t.Errorf("%v: %+v", lost, f)
	}
	l.Infos = nil
	if f, lost := m.Lost(l, "notes", "nas"); !lost || f.Code != "snapshot-history-lost" {
		t.Errorf("%v: %+v", lost, f)
	}
}

func TestNumbersAreBounded(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]bool{"seq=1073741824": true, "seq=1073741825": false, "seq=9223372036854775807": false, "seq=-1": false} {
		if _, ok := ParseTags([]string{"volumes=data", "epoch=1", tag}); ok != want {
			t.Errorf("%s: %v", tag, ok)
		}
	}
}
