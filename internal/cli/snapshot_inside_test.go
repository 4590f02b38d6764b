package cli

import (
	"testing"
	"time"

	"salvor/internal/parts"
	"salvor/internal/terminal"
)

// TestInsideASnapshot: what is in one is shown as it is, whatever it is called.
func TestInsideASnapshot(t *testing.T) {
	const ago = "2026-11-23 08:15:00, 3h 00m old"
	changed := time.Date(2026, 11, 23, 8, 0, 0, 0, time.Local)
	row := func(name, kind string) parts.Entry {
		return parts.Entry{Path: name, Type: kind, Mode: "-rw-r--r--", UID: 1000, GID: 33, Bytes: 1536, Changed: changed, Target: "../" + evil}
	}
	of := parts.Snapshot{Stack: "notes", ID: "3f2a91c0d4e5"}
	goldenScreens(t, "inside", func(page *terminal.Page) {
		printInside(page, parts.Contents{Snapshot: of, Path: "/", Volumes: []parts.Volume{{Name: "data", Form: "files", Bytes: 4 << 20, Files: 12}, {Name: "db", Form: "postgres-dump"}, {Name: "odd"}}}, ago)
		printInside(page, parts.Contents{Snapshot: of, Path: "/data", Entries: []parts.Entry{row("a.txt", "file"), row("photos", "dir"), row("link", "symlink"), row(evil, "file")}}, ago)
		printInside(page, parts.Contents{Snapshot: of, Path: "/db", Form: "postgres-dump"}, ago)
	})
}
