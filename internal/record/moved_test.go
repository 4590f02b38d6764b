package record

import (
	"testing"

	"salvor/internal/fleet"
)

// TestS05AForgedMarkLeadsNowhere: who has the remote's credential says that the record
// is in a folder of theirs, where they would have claims and mirrors read and written.
func TestS05AForgedMarkLeadsNowhere(t *testing.T) {
	const mark = `{"schema":1,"to":{"remote":"drive","path":"salvor/home-1/record"},"at":"2026-01-01T00:00:00Z"}`
	for name, content := range map[string]string{
		"unsigned": mark, "junk": "\x00", "empty": "",
		"by another key":     enclosed(newKey(), MovedKind, markPlace(placeA), mark),
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
