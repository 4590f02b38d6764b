package cli

import (
	"testing"
	"time"

	"salvor/internal/finding"
	"salvor/internal/parts"
	"salvor/internal/terminal"
)

// TestDifferenceAndCheck have a line of each kind.
func TestDifferenceAndCheck(t *testing.T) {
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.Local)
	goldenScreens(t, "difference", func(page *terminal.Page) {
		printDifference(page, parts.Difference{From: parts.Snapshot{Stack: "notes", ID: "3f2a91c0d4e5", Taken: at}, To: parts.Snapshot{Stack: "notes", ID: "8b04e1d7aaaa", Taken: at.Add(time.Hour)},
			Volumes: []parts.VolumeChange{
				{Name: "data", Changes: []parts.Change{
					{What: parts.Added, Path: "photos", Type: "dir", Files: 3, After: 4 << 20}, {What: parts.Removed, Path: evil, Type: "file", Before: 12},
					{What: parts.Changed, Path: "a.txt", Type: "file", Before: 6, After: 7, How: "content"}, {What: parts.Changed, Path: "conf", Type: "file", Before: 6, After: 6, How: "mode -rw-r--r-- to -rw-------"},
				}},
				{Name: "db", Forms: "files in the one and postgres-dump in the other"},
			}})
		printChecked(page, []parts.Checked{
			{Stack: "notes", Target: "offsite", Repository: "0a1b2c3d", Snapshots: 12, Packs: 3, Bytes: 40 << 20},
			{Stack: "notes", Target: "offsite", Repository: "f0f0f0f0", Former: 1, Snapshots: 1, Findings: []finding.Finding{
				{Code: finding.SnapshotDamaged, Severity: finding.Fatal, Subject: "notes", Text: "snapshot 3f2a91c0 on offsite can't be restored whole: " + evil, Fix: "salvor snapshot take notes"}}},
			{Stack: "shop", Target: "offsite", Repository: "0b0b0b0b", Error: "no answer"},
		})
		printChecked(page, nil)
	})
}
