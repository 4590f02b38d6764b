package recording

import (
	"context"
	"errors"
	"testing"

	"salvor/internal/blob/blobtest"
	"salvor/internal/fleet"
	"salvor/internal/record"
)

type closing struct {
	*blobtest.Memory
	closed int
}

func (c *closing) Close(context.Context) error { c.closed++; return nil }

// TestAPlaceIsConnectedToOnce in a command, and left at its end.
func TestAPlaceIsConnectedToOnce(t *testing.T) {
	t.Parallel()
	var f folders
	var made []*closing
	open := func() (record.Folder, error) {
		made = append(made, &closing{Memory: &blobtest.Memory{}})
		return made[len(made)-1], nil
	}
	nas, other := fleet.Location{Remote: "nas", Path: "record"}, fleet.Location{Remote: "nas", Path: "snapshots"}
	away := errors.New("away")
	if _, err := f.get(nas, func() (record.Folder, error) { return nil, away }); !errors.Is(err, away) {
		t.Fatalf("a remote that is away: %v", err)
	}
	for _, where := range []fleet.Location{nas, nas, other, nas} {
		folder, err := f.get(where, open)
		if err != nil {
			t.Fatal(err)
		}
		if err := folder.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(made) != 2 || made[0].closed+made[1].closed != 0 {
		t.Fatalf("%d connections, of which some are closed: %+v", len(made), made)
	}
	if err := f.close(t.Context()); err != nil || made[0].closed != 1 || made[1].closed != 1 {
		t.Errorf("at the end: %+v, %v", made, err)
	}
}
