package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/blob"
	"salvor/internal/blob/blobtest"
	"salvor/internal/fleet"
	"salvor/internal/sign"
	"salvor/internal/sign/signtest"
)

// disks are remotes in memory by name and path.
type disks map[fleet.Location]*blobtest.Memory

type disk struct{ *blobtest.Memory }

func (disk) Close(context.Context) error { return nil }

func (d disks) open(_ context.Context, where fleet.Location) (Folder, error) {
	if where.Remote == "away" {
		return nil, errors.New("no such remote")
	}
	if d[where] == nil {
		d[where] = &blobtest.Memory{}
	}
	return disk{d[where]}, nil
}

func (d disks) follow(t *testing.T, where fleet.Location) *Record {
	t.Helper()
	site, err := Follow(t.Context(), where, d.open, fleetTrust())
	if err != nil {
		t.Fatal(err)
	}
	return site.Record(fleetTrust())
}

func (d disks) relocate(ctx context.Context, from, to fleet.Location) error {
	chain, _, err := Chain(ctx, from, d.open, fleetTrust())
	if err != nil {
		return err
	}
	target, err := d.open(ctx, to)
	if err != nil {
		return err
	}
	_, err = Relocate(ctx, chain, Site{Where: to, Folder: target}, fleetTrust())
	return err
}

// contents returns what is in a folder next to the mark.
func (d disks) contents(t *testing.T, where fleet.Location) map[string]string {
	t.Helper()
	all := map[string]string{}
	files, err := d[where].List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		content, err := readAll(t.Context(), d[where], f.Path)
		if err != nil {
			t.Fatal(err)
		}
		if f.Path != movedFile {
			all[f.Path] = string(content)
		}
	}
	return all
}

var (
	placeA = fleet.Location{Remote: "nas", Path: "salvor/home-1/record"}
	placeB = fleet.Location{Remote: "drive", Path: "salvor/home-1/record"}
)

// keptRecord is a record with something of every kind.
func keptRecord(t *testing.T) disks {
	t.Helper()
	d := disks{}
	r := d.follow(t, placeA)
	claimed(t, r, Claim{Epoch: 3, Host: "alpha", Key: "age1alpha"})
	_, factErr := r.AppendFact(t.Context(), "notes", Fact{Epoch: 3, Host: "alpha", Born: map[string]time.Time{"data": time.Unix(1, 0)}})
	proven := Proven{Epoch: 3, Seq: 7, Repository: "aa", Snapshot: fmt.Sprintf("%064d", 1), Key: []byte("key"), Config: []byte("config")}
	entry, entryErr := NewEntry(time.Unix(1, 0), "ann", "apply")
	k := signtest.NewKey()
	if err := errors.Join(factErr, entryErr, r.Prove(t.Context(), "notes", proven), r.AppendEntry(t.Context(), entry, k, []string{ageKey(t).Recipient}), r.PutMirror(t.Context(), Mirror{1, "c"}, []byte("bundle"), k, sign.Keys{k.Public()})); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestTheRecordMovesWithEverything is fault D6: a move carries all over, the old place
// is left and leads to the new one, and nothing is added to it unseen.
func TestTheRecordMovesWithEverything(t *testing.T) {
	d := keptRecord(t)
	old, was := d.follow(t, placeA), d.contents(t, placeA)
	if err := d.relocate(t.Context(), placeA, placeB); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(was, d.contents(t, placeB)); diff != "" || len(was) != 6 {
		t.Errorf("-old +new:\n%s", diff)
	}
	if diff := cmp.Diff(was, d.contents(t, placeA)); diff != "" {
		t.Errorf("the old place changed:\n%s", diff)
	}
	if site, err := Follow(t.Context(), placeA, d.open, fleetTrust()); err != nil || site.Where != placeB {
		t.Errorf("it leads to %+v, %v", site.Where, err)
	}
	if _, err := old.Claim(t.Context(), "notes", Claim{Epoch: 4, Host: "beta"}, away); !errors.Is(err, ErrMoved) {
		t.Errorf("a claim at the old place: %v", err)
	}
	if _, err := old.AppendFact(t.Context(), "notes", Fact{Epoch: 3, Host: "alpha"}); !errors.Is(err, ErrMoved) {
		t.Errorf("a fact at the old place: %v", err)
	}
	if err := old.PutMirror(t.Context(), Mirror{2, "d"}, []byte("bundle"), signtest.NewKey(), nil); !errors.Is(err, ErrMoved) {
		t.Errorf("a mirror at the old place: %v", err)
	}
}

// TestARecordThatMovesIsWholeWhereverItIsCut is fault D6: cut at any of its steps,
// the record is in one place or in none, and the same command, or the one that takes
// the move back, carries on, with what was written in the meantime.
func TestARecordThatMovesIsWholeWhereverItIsCut(t *testing.T) {
	for _, to := range []fleet.Location{placeB, placeA} {
		steps := 0
		for cut := 1; steps == 0 || cut <= steps; cut++ {
			d, calls := keptRecord(t), 0
			fail := func(op, _ string) error {
				if op == "put" || op == "delete" {
					if calls++; calls == cut {
						return errors.New("cut")
					}
				}
				return nil
			}
			d[placeB] = &blobtest.Memory{Fail: fail}
			d[placeA].Fail = fail
			if d.relocate(t.Context(), placeA, placeB) == nil {
				steps = cut
			}
			d[placeA].Fail, d[placeB].Fail = nil, nil
			if site, err := Follow(t.Context(), placeA, d.open, fleetTrust()); err == nil {
				claimed(t, site.Record(fleetTrust()), Claim{Epoch: 4, Host: "beta"})
			} else if !errors.Is(err, ErrMoved) {
				t.Fatal(err)
			}
			was := d.contents(t, placeA)
			if err := d.relocate(t.Context(), placeA, to); err != nil {
				t.Fatalf("to %s, cut at %d: %v", to.Remote, cut, err)
			}
			site, err := Follow(t.Context(), placeA, d.open, fleetTrust())
			if err != nil || site.Where != to {
				t.Fatalf("to %s, cut at %d: it is at %+v, %v", to.Remote, cut, site.Where, err)
			}
			now := d.contents(t, to)
			for path, content := range was {
				if now[path] != content {
					t.Errorf("to %s, cut at %d: %s is lost", to.Remote, cut, path)
				}
			}
		}
		if steps < 8 {
			t.Errorf("cut at %d steps only", steps)
		}
	}
}

// TestTheRecordGoesThereAndBack is fault D6: a place that the record has left can
// take it again.
func TestTheRecordGoesThereAndBack(t *testing.T) {
	d := keptRecord(t)
	if err := d.relocate(t.Context(), placeA, placeB); err != nil {
		t.Fatal(err)
	}
	claimed(t, d.follow(t, placeA), Claim{Epoch: 5, Host: "gamma"})
	if err := d.relocate(t.Context(), placeB, placeA); err != nil {
		t.Fatal(err)
	}
	for _, from := range []fleet.Location{placeA, placeB} {
		if claims, _, err := d.follow(t, from).Claims(t.Context(), "notes"); err != nil || len(claims) != 1 || claims[0].Host != "gamma" {
			t.Errorf("from %s: %+v, %v", from.Remote, claims, err)
		}
	}
}

// TestTheRecordMovesIntoNoOtherFleets is fault D6: what another fleet has in a folder
// is never mixed with this fleet's record.
func TestTheRecordMovesIntoNoOtherFleets(t *testing.T) {
	d := keptRecord(t)
	put(t, d.follow(t, placeB).store, "claims/notes/1-x.json", "another fleet's")
	other := d.contents(t, placeB)
	if err := d.relocate(t.Context(), placeA, placeB); !errors.Is(err, ErrTaken) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(other, d.contents(t, placeB)); diff != "" {
		t.Error(diff)
	}
	if site, err := Follow(t.Context(), placeA, d.open, fleetTrust()); err != nil || site.Where != placeA {
		t.Errorf("the record is at %+v, %v", site.Where, err)
	}
	put(t, d.follow(t, placeB).store, movedFile, `{"schema":1,"to":{"remote":"nas","path":"salvor/office/record"},"at":"2026-01-01T00:00:00Z"}`)
	if err := d.relocate(t.Context(), placeA, placeB); !errors.Is(err, ErrTaken) {
		t.Errorf("a place that another fleet's record has left: %v", err)
	}
}

// TestAnotherNameOfTheSameFolder is fault D6: a remote that gets another name keeps the
// record as it is.
func TestAnotherNameOfTheSameFolder(t *testing.T) {
	d := keptRecord(t)
	d[placeB] = d[placeA]
	was := d.contents(t, placeA)
	if err := d.relocate(t.Context(), placeA, placeB); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(was, d.contents(t, placeB)); diff != "" {
		t.Error(diff)
	}
	for _, at := range []fleet.Location{placeA, placeB} {
		if site, err := Follow(t.Context(), at, d.open, fleetTrust()); err != nil || site.Where != at {
			t.Errorf("from %s it leads to %s, %v", at, site.Where, err)
		}
	}
}

// writing is a store in which something is written right before the mark is.
type writing struct {
	disk
	before func()
}

func (w writing) Put(ctx context.Context, path string, content io.Reader, size int64) (blob.Proof, error) {
	if path == movedFile {
		w.before()
	}
	return w.Memory.Put(ctx, path, content, size)
}

// TestAWriteDuringAMoveIsCopiedOrRefused is fault D6: what was written before the
// mark is at the new place, what came later is refused.
func TestAWriteDuringAMoveIsCopiedOrRefused(t *testing.T) {
	d := keptRecord(t)
	early := func() {
		if _, err := trusting(d[placeA]).AppendFact(t.Context(), "notes", Fact{Epoch: 3, Host: "alpha"}); err != nil {
			t.Error(err)
		}
	}
	target, _ := d.open(t.Context(), placeB)
	if _, err := Relocate(t.Context(), []Site{{Where: placeA, Folder: writing{disk{d[placeA]}, early}}}, Site{Where: placeB, Folder: target}, fleetTrust()); err != nil {
		t.Fatal(err)
	}
	facts, _, err := d.follow(t, placeA).Facts(t.Context(), "notes", 3)
	if err != nil || len(facts) != 2 {
		t.Errorf("%+v, %v", facts, err)
	}
}

// TestARelocationWaitsForTheListing is fault D6: a place whose listing lacks claims
// does not become the record.
func TestARelocationWaitsForTheListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := keptRecord(t)
		late := &lagging{lag: time.Hour}
		_, err := Relocate(t.Context(), []Site{{Where: placeA, Folder: disk{d[placeA]}}}, Site{Where: placeB, Folder: folder{late}}, fleetTrust())
		if !errors.Is(err, ErrNotVisible) {
			t.Errorf("got %v", err)
		}
	})
}

type folder struct{ blob.Store }

func (folder) Close(context.Context) error { return nil }

// TestAMarkOfANewerSalvorIsNoRecord: who can't read where the record is reads no claims.
func TestAMarkOfANewerSalvorIsNoRecord(t *testing.T) {
	d := keptRecord(t)
	put(t, d[placeA], movedFile, enclosed(fleetKey(), MovedKind, markPlace(placeA), `{"schema":9}`))
	if _, err := Follow(t.Context(), placeA, d.open, fleetTrust()); err == nil {
		t.Error("followed")
	}
}
