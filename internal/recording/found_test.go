package recording

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"salvor/internal/blob/blobtest"
	"salvor/internal/deploy"
	"salvor/internal/fleet"
	"salvor/internal/record"
)

type folder struct{ *blobtest.Memory }

func (folder) Close(context.Context) error { return nil }

// TestOwnerGoesByTheKey: a machine that was renamed is its own successor.
func TestOwnerGoesByTheKey(t *testing.T) {
	t.Parallel()
	recipients := map[string]string{"beta": "age1b", "gamma": "age1a"}
	for ruling, want := range map[record.Ruling]deploy.Owner{
		{Owner: "alpha", Key: "age1a", Epoch: 3}: {Host: "gamma", Key: "age1a", Epoch: 3},
		{Owner: "alpha", Key: "age1x", Epoch: 3}: {Host: "alpha", Key: "age1x", Epoch: 3},
		{}:                                       {},
	} {
		if got := Owner(ruling, recipients); got != want {
			t.Errorf("%+v: %+v, want %+v", ruling, got, want)
		}
	}
}

// TestUsedAreRepositoriesWithASnapshot, on every target.
func TestUsedAreRepositoriesWithASnapshot(t *testing.T) {
	t.Parallel()
	at := map[string]*blobtest.Memory{}
	open := func(_ context.Context, where fleet.Location) (record.Folder, error) {
		if at[where.String()] == nil {
			return nil, errors.New("away")
		}
		return folder{at[where.String()]}, nil
	}
	for _, path := range []string{"one/config", "one/snapshots/a", "two/config", "two/keys/k"} {
		if at["nas:data/notes"] == nil {
			at["nas:data/notes"] = &blobtest.Memory{}
		}
		if _, err := at["nas:data/notes"].Put(t.Context(), path, strings.NewReader("x"), 1); err != nil {
			t.Fatal(err)
		}
	}
	targets := []fleet.Target{{Name: "home", Where: fleet.Location{Remote: "nas", Path: "data"}}}
	if used, err := Used(t.Context(), targets, "notes", open); err != nil || !slices.Equal(used, []string{"home one"}) {
		t.Errorf("used %v, %v", used, err)
	}
	if used, err := Used(t.Context(), targets, "blog", open); err == nil || !strings.Contains(err.Error(), "snapshot target home") {
		t.Errorf("a target that is away: %v, %v", used, err)
	}
}

func TestFactsHaveTheNamesOfNow(t *testing.T) {
	t.Parallel()
	hosts := []fleet.Host{{Name: "gamma", Formerly: "alpha"}, {Name: "beta"}}
	for before, now := range map[string]string{"alpha": "gamma", "beta": "beta", "gone": "gone"} {
		if got := calledNow(before, hosts); got != now {
			t.Errorf("%s is called %s, want %s", before, got, now)
		}
	}
}
