package parts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/record"
	"salvor/internal/seal"
	"salvor/internal/secret"
)

// rows are snapshots as a reader sees them.
func rows(list agentapi.SnapshotList) []string {
	var all []string
	for _, r := range list.Snapshots {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%d of %d, %d files, %v %s", r.Seq, r.Former, r.Files, r.Volumes, r.Damaged)))
	}
	return all
}

// TestSnapshotsAreListedWithoutAHost, also of a stack that is placed nowhere, and while the
// record is away. What was proven and is gone is said.
func TestSnapshotsAreListedWithoutAHost(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.take(taking{repo: former, seq: 1, at: day, files: map[string]string{"data/a.txt": "first"}})
	newest := h.take(taking{seq: 2, at: day.AddDate(0, 0, 3), files: map[string]string{"data/a.txt": "second", "data/b.txt": "more"}})
	want := []string{"1 of 1, 1 files, [data]", "2 of 0, 2 files, [data]"}
	list, err := h.reader.Snapshots(t.Context(), "notes")
	if diff := cmp.Diff(want, rows(list)); err != nil || diff != "" || list.Snapshots[1].Target != "offsite" || len(list.Silent) > 0 {
		t.Errorf("%v %+v\n%s", err, list.Silent, diff)
	}
	placed := h.reader.Archives.Lock
	h.reader.Archives.Lock = fleet.Lock{}
	list, err = h.reader.Snapshots(t.Context(), "notes")
	if diff := cmp.Diff(want, rows(list)); err != nil || diff != "" {
		t.Errorf("without a place: %v\n%s", err, diff)
	}
	h.reader.Archives.Lock = placed
	if err := os.Remove(filepath.Join(h.disk, "notes", present, "snapshots", newest)); err != nil {
		t.Fatal(err)
	}
	list, err = h.reader.Snapshots(t.Context(), "notes")
	if diff := cmp.Diff([]string{want[0], "2 of 0, 0 files, [] the remote does not list it"}, rows(list)); err != nil || diff != "" {
		t.Errorf("a lost one: %v\n%s", err, diff)
	}
	h.reader.Archives.With = func(context.Context, func(*record.Record) error) error { return errors.New("away") }
	list, err = h.reader.Snapshots(t.Context(), "notes")
	if diff := cmp.Diff(want[:1], rows(list)); err != nil || diff != "" || len(h.notes) != 1 || !strings.Contains(h.notes[0], "which snapshots were proven is not known: away") {
		t.Errorf("without the record: %v %q\n%s", err, h.notes, diff)
	}
	if err := os.RemoveAll(h.disk); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := h.reader.Snapshots(t.Context(), "notes"); err == nil || len(list.Silent) != 1 || list.Silent[0].Name != "offsite" {
		t.Errorf("without the target: %v %+v", err, list)
	}
}

// TestWhatALostHostHadOfItsOwn is listed and brought back, also once the fleet no longer knows
// the host.
func TestWhatALostHostHadOfItsOwn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	own, id := fleet.Own("alpha"), "beefbeef"
	h.reader.Archives.Recovery = func(name string) (seal.Recovery, error) {
		known := seal.Recovery{Stack: name}
		if name != own {
			return known, nil
		}
		return known.Add(seal.Repository{ID: id, Target: "offsite", Location: "disk:snap", Password: secret.NewString(password)})
	}
	h.reader.Archives.Epoch = func(context.Context, string) (int, error) { return 0, nil } // it was never claimed
	snapshot := h.take(taking{stack: own, repo: id, seq: 1, at: day, files: map[string]string{"@etc@wireguard/wg0.conf": "[Interface]"}})
	for name, lock := range map[string]fleet.Lock{
		"placed": {Hosts: map[string]fleet.Placement{"alpha": {Host: "alpha", Epoch: 1, Repositories: map[string]string{"offsite": id}}}},
		"gone":   {},
	} {
		h.reader.Archives.Lock = lock
		list, err := h.reader.Snapshots(t.Context(), own)
		if diff := cmp.Diff([]string{"1 of 0, 1 files, [@etc@wireguard]"}, rows(list)); err != nil || diff != "" || list.Snapshots[0].ID != snapshot {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
		for _, ref := range []string{"latest", snapshot[:8]} {
			c := h.choice(ref + ":/@etc@wireguard")
			c.Stack = own
			to := filepath.Join(t.TempDir(), "back")
			if _, err := h.reader.Get(t.Context(), c, to); err != nil {
				t.Fatalf("%s, %s: %v", name, ref, err)
			}
			if found, _ := filepath.Glob(filepath.Join(to, "*", "wg0.conf")); len(found) != 1 {
				t.Errorf("%s, %s: %v", name, ref, found)
			}
		}
	}
}
