package record

import (
	"bytes"
	"context"
	"io"
	"testing"

	"salvor/internal/blob"
	"salvor/internal/blob/blobtest"
	"salvor/internal/fleet"
	"salvor/internal/sign/signtest"
)

// TestS05AForgedMarkLeadsNowhere: who has the remote's credential says that the record
// is in a folder of theirs, where they would have claims and mirrors read and written.
func TestS05AForgedMarkLeadsNowhere(t *testing.T) {
	const mark = `{"schema":1,"to":{"remote":"drive","path":"salvor/home-1/record"},"at":"2026-01-01T00:00:00Z"}`
	for name, content := range map[string]string{
		"unsigned": mark, "junk": "\x00", "empty": "",
		"by another key":     enclosed(signtest.NewKey(), MovedKind, markPlace(placeA), mark),
		"of another folder":  enclosed(fleetKey(), MovedKind, markPlace(placeB), mark),
		"of another kind":    enclosed(fleetKey(), ClaimKind, markPlace(placeA), mark),
		"copied and changed": enclosed(fleetKey(), MovedKind, markPlace(placeA), mark)[1:],
	} {
		d := keptRecord(t)
		put(t, d[placeA], movedFile, content)
		site, err := Follow(t.Context(), placeA, d.open, fleetTrust())
		if err != nil || site.Where != placeA || len(site.Ignored) != 1 || site.Ignored[0].Path != movedFile {
			t.Errorf("%s: it leads to %s, ignoring %v, %v", name, site.Where, site.Ignored, err)
			continue
		}
		r := site.Record(fleetTrust())
		if got := claimed(t, r, Claim{Epoch: 4, Host: "beta"}); got.Owner != "beta" {
			t.Errorf("%s: claimed %+v", name, got)
		}
		if found := Findings("notes", site.Ignored); found[0].Subject != movedFile {
			t.Errorf("%s: said as %+v", name, found)
		}
	}
	d := keptRecord(t)
	put(t, d[placeA], movedFile, enclosed(fleetKey(), MovedKind, markPlace(placeA), mark))
	if site, err := Follow(t.Context(), placeA, d.open, fleetTrust()); err != nil || site.Where != (fleet.Location{Remote: "drive", Path: "salvor/home-1/record"}) {
		t.Errorf("the fleet's own leads to %s, %v", site.Where, err)
	}
}

// TestS05AMarkOfAMoveThatEndedLeadsNowhere: while the record is on its way to a folder,
// a signed mark there leads back. A host keeps it, puts it there again afterwards, and
// deletes the one that leads on from the old folder.
func TestS05AMarkOfAMoveThatEndedLeadsNowhere(t *testing.T) {
	d := disks{}
	claimed(t, d.follow(t, placeA), Claim{Epoch: 1, Host: "alpha", Commit: "c1"})
	chain, _, err := Chain(t.Context(), placeA, d.open, fleetTrust())
	if err != nil {
		t.Fatal(err)
	}
	d[placeB] = &blobtest.Memory{}
	var kept string
	if _, err := Relocate(t.Context(), chain, Site{Where: placeB, Folder: thief{disk{d[placeB]}, &kept}}, fleetTrust()); err != nil {
		t.Fatal(err)
	}
	claimed(t, d.follow(t, placeB), Claim{Epoch: 2, Host: "beta", Commit: "c2"})
	put(t, d[placeB], movedFile, kept)
	if err := d[placeA].Delete(t.Context(), movedFile); err != nil {
		t.Fatal(err)
	}
	site, err := Follow(t.Context(), placeB, d.open, fleetTrust())
	if err != nil || site.Where != placeB || len(site.Ignored) != 1 {
		t.Fatalf("at %s, ignoring %v, %v", site.Where, site.Ignored, err)
	}
	if got := claimed(t, site.Record(fleetTrust()), Claim{Epoch: 3, Host: "gamma", Commit: "c3"}); got.Owner != "gamma" {
		t.Errorf("claimed %+v", got)
	}
}

// thief keeps what is written as a mark.
type thief struct {
	disk
	kept *string
}

func (d thief) Put(ctx context.Context, path string, r io.Reader, n int64) (blob.Proof, error) {
	data, err := io.ReadAll(r)
	if path == movedFile && err == nil {
		*d.kept = string(data)
	}
	return d.disk.Put(ctx, path, bytes.NewReader(data), n)
}
