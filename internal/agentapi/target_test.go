package agentapi

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLine(t *testing.T) {
	target := Target{Name: "offsite", Repository: "c", Former: []string{"a", "b"}}
	want := []Target{target, {Name: "offsite", Repository: "b"}, {Name: "offsite", Repository: "a"}}
	if diff := cmp.Diff(want, target.Line()); diff != "" {
		t.Error(diff)
	}
	if target.Origin() != "a" || want[1].Origin() != "b" {
		t.Errorf("origins are %s and %s", target.Origin(), want[1].Origin())
	}
}

func TestSnapshotsAreOrderedByRepositoryFirst(t *testing.T) {
	row := func(former, epoch, seq int) SnapshotRow {
		return SnapshotRow{Former: former, SnapshotInfo: SnapshotInfo{Epoch: epoch, Seq: seq}}
	}
	for _, c := range []struct {
		older, newer SnapshotRow
	}{
		{row(0, 1, 1), row(0, 1, 2)}, {row(0, 1, 9), row(0, 2, 1)}, {row(1, 1, 17), row(0, 1, 1)}, {row(2, 3, 1), row(1, 1, 1)},
	} {
		if !c.older.Before(c.newer) || c.newer.Before(c.older) || c.older.Before(c.older) {
			t.Errorf("%+v and %+v", c.older, c.newer)
		}
	}
}
