package scenarios

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bringsBack brings one file to the operator's computer, and one volume back as it was at
// a moment. Nothing else changes.
func (d *dataFleet) bringsBack(t *testing.T) {
	d.marks(t, "first")
	d.salvor(t, "snapshot", "take", "shop")
	moment := time.Now().UTC()
	d.marks(t, "second")
	d.writes(t, moment)
	before, err := d.holding(t.Context(), d.on)
	must(t, err)

	dir := t.TempDir()
	d.salvor(t, "snapshot", "get", "shop", "latest:/notes/mark", "-o", dir)
	if got, err := os.ReadFile(filepath.Join(dir, "mark")); err != nil || string(got) != "first\n" {
		t.Errorf("the file that came back is %q, %v", got, err)
	}
	d.Count("files brought back", 1)

	began := time.Now()
	d.salvor(t, "restore", "shop", "--volume", "cache", "--at", moment.Format(time.RFC3339))
	d.writes(t, began)
	after, err := d.holding(t.Context(), d.on)
	must(t, err)
	if after.bank.transfers < before.bank.transfers || after.books.transfers < before.books.transfers || len(after.rows) < len(before.rows) {
		t.Errorf("another volume went back: %s, after there had been %s", after, before)
	}
	if cache, notes := d.marked(t); cache != "first" || notes != "second" {
		t.Errorf("the cache is that of the %s mark and the notes that of the %s; want the first and the second", cache, notes)
	}
	d.Count("volumes brought back", 1)
}

// notesMark is a file in the volume of notes.
const notesMark = "/var/lib/docker/volumes/shop_notes/_data/mark"

// marks writes a mark into the cache and the notes.
func (d *dataFleet) marks(t *testing.T, mark string) {
	t.Helper()
	exec(t, d.on, "echo "+mark+" >"+notesMark)
	_, err := inShop(t.Context(), d.on, "cache", "valkey-cli", "SET", "mark", mark)
	must(t, err)
}

// marked returns the marks that are there.
func (d *dataFleet) marked(t *testing.T) (cache, notes string) {
	t.Helper()
	cache, err := inShop(t.Context(), d.on, "cache", "valkey-cli", "GET", "mark")
	must(t, err)
	return strings.TrimSpace(cache), exec(t, d.on, "cat "+notesMark)
}
