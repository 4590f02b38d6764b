package record

import (
	"testing"
	"time"

	"salvor/internal/fleet"
)

// TestS05AFactDoesNotBrickTheLock: what a host signs about its own stack, and no lock
// can have, is left out: it would keep every host's facts from being committed.
func TestS05AFactDoesNotBrickTheLock(t *testing.T) {
	var odd time.Time
	if err := odd.UnmarshalText([]byte("0000-01-01T00:00:00+23:59")); err != nil {
		t.Fatal(err)
	}
	was := fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "beta", Epoch: 2}}}
	good := time.Unix(5, 0).UTC()
	p := Fold(was, "notes", []Fact{{Host: "beta", Epoch: 2,
		Images: map[string]string{"web": "nginx:1", "db": "db:1@sha256:aa"},
		Born:   map[string]time.Time{"a": {}, "b": odd, "c": good},
	}}).Stacks["notes"]
	if len(p.Images) != 1 || p.Images["db"] == "" || len(p.Volumes) != 1 || p.Volumes["c"].Born != good {
		t.Errorf("the lock learned %+v", p)
	}
}
