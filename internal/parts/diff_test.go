package parts

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/finding"
	"salvor/internal/snapshot"
)

// TestDiff compares snapshots of one repository and of two. What the two have in common is
// parted in different places, and is found to be the same.
func TestDiff(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	large := strings.Repeat("0123456789abcdef", 300_000)
	first := h.take(taking{repo: former, seq: 1, at: day, files: map[string]string{"data/a": "first", "data/large": large, "data/old/b": "x", "db/dump": "1"}})
	second := h.take(taking{seq: 2, at: day.AddDate(0, 0, 1), files: map[string]string{"data/a": "second", "data/large": large, "data/new/c": "xy", "data/new/d": "z", "db/dump": "1"},
		forms: map[string]snapshot.Form{"db": snapshot.PostgresDump}})
	third := h.take(taking{seq: 3, at: day.AddDate(0, 0, 2), files: map[string]string{"data/a": "second", "data/large": large + "!", "data/new/c": "xy", "cache/e": "e"}, grow: func(stack string) {
		if err := os.Chmod(filepath.Join(stack, "data", "new", "c"), 0o600); err != nil {
			t.Fatal(err)
		}
	}})
	for name, test := range map[string]struct {
		from, to string
		want     []string
	}{
		"of two repositories": {first, second[:8], []string{"~ data/a 5 6 content", "+ data/new 2 files 3", "- data/old 1 files 1", "db as files in the one and postgres-dump in the other"}},
		"of one repository":   {second, Latest, []string{"+ cache/. 1 files 1", "~ data/large 4800000 4800001 content", "~ data/new/c 2 2 mode -rw-r----- to -rw-------", "- data/new/d 1 files 1", "- db/. 1 files 1"}},
		"of itself":           {third, third, nil},
	} {
		d, err := h.reader.Diff(t.Context(), Choice{Ref: Ref{ID: test.from, Path: "/"}}, Choice{Ref: Ref{ID: test.to, Path: "/"}})
		if diff := cmp.Diff(test.want, changes(d)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func changes(d Difference) []string {
	var all []string
	for _, v := range d.Volumes {
		if v.Forms != "" {
			all = append(all, v.Name+" as "+v.Forms)
		}
		for _, c := range v.Changes {
			text := fmt.Sprintf("%s %s/%s ", c.What, v.Name, c.Path)
			if c.What == Changed {
				all = append(all, text+fmt.Sprintf("%d %d %s", c.Before, c.After, c.How))
				continue
			}
			all = append(all, text+fmt.Sprintf("%d files %d", c.Files, c.Before+c.After))
		}
	}
	return all
}

// TestCheck finds what the remote has lost, and with all data read also what it changed.
func TestCheck(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.take(taking{repo: former, seq: 1, at: day, files: map[string]string{"data/a": "first"}})
	id := h.take(taking{seq: 2, at: day.AddDate(0, 0, 1), files: map[string]string{"data/large": noise(300_000)}})
	all, err := h.reader.Check(t.Context(), true)
	if err != nil || len(all) != 2 || all[0].Snapshots != 1 || all[0].Packs == 0 || len(all[0].Findings)+len(all[1].Findings) > 0 || all[1].Former != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	packs, err := filepath.Glob(filepath.Join(h.disk, "notes", present, "data", "*", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	damaged := 0
	for _, data := range []bool{false, true} {
		for _, pack := range packs {
			flip(t, pack)
			all, err := h.reader.Check(t.Context(), data, "notes")
			if err != nil {
				t.Fatal(err)
			}
			if len(all[0].Findings) > 0 {
				damaged++
				if f := all[0].Findings[0]; f.Code != finding.SnapshotDamaged || !strings.Contains(f.Text, id[:8]) && !strings.Contains(f.Text, present) {
					t.Errorf("%+v", f)
				}
			} else if data {
				t.Errorf("%s was changed, and the check says %+v", pack, all[0])
			}
			flip(t, pack)
		}
	}
	if damaged != 2*len(packs)-1 {
		t.Errorf("%d of %d changes were found: only that in the data needs all data to be read", damaged, 2*len(packs))
	}
	if err := os.Remove(packs[0]); err != nil {
		t.Fatal(err)
	}
	if all, err := h.reader.Check(t.Context(), false); err != nil || len(all[0].Findings) == 0 || len(all[1].Findings) > 0 {
		t.Errorf("a lost pack: %+v, %v", all, err)
	}
	if err := os.Remove(filepath.Join(h.disk, "notes", present, "snapshots", id)); err != nil {
		t.Fatal(err)
	}
	all, err = h.reader.Check(t.Context(), false)
	if err != nil || !hasCode(all[0].Findings, finding.HistoryLost) {
		t.Errorf("a lost snapshot: %+v, %v", all, err)
	}
}

// noise is text that can't be compressed.
func noise(size int) string {
	var all []byte
	for sum := sha256.Sum256(nil); len(all) < size; sum = sha256.Sum256(sum[:]) {
		all = append(all, sum[:]...)
	}
	return string(all)
}

func hasCode(all []finding.Finding, code finding.Code) bool {
	for _, f := range all {
		if f.Code == code {
			return true
		}
	}
	return false
}

// flip changes one bit of a file, or changes it back.
func flip(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err == nil {
		content[len(content)/3] ^= 1
		err = os.Chmod(file, 0o600)
	}
	if err == nil {
		err = os.WriteFile(file, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
