package snapshot

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/finding"
	"salvor/internal/fleet"
)

// TestSmallVolumesShrink is fault V4: little volumes and little databases count.
// sqliteHeader begins every database.
var sqliteHeader = []byte("SQLite format 3\x00")

func TestSmallVolumesShrink(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, now Stats
		want        bool
	}{
		"8 files of 5 KB become one empty file": {Stats{Files: 8, Bytes: 40 << 10, Kept: 40 << 10}, Stats{Files: 1}, true},
		"a database of 30 KiB is emptied":       {Stats{Files: 1, Bytes: 30 << 10, Kept: 30 << 10, Rows: 400}, Stats{Files: 1, Bytes: 30 << 10, Kept: 30 << 10, Rows: 5}, true},
		"a log is written into its database":    {Stats{Files: 3, Bytes: 4 << 20, Kept: 20 << 10, Rows: 40}, Stats{Files: 1, Bytes: 20 << 10, Kept: 20 << 10, Rows: 40}, false},
		"a few bytes go":                        {Stats{Files: 2, Bytes: 900, Kept: 900}, Stats{Files: 1, Bytes: 5, Kept: 5}, false},
		"half of it goes":                       {Stats{Files: 20, Bytes: 50 << 10, Kept: 50 << 10, Rows: 300}, Stats{Files: 10, Bytes: 25 << 10, Kept: 25 << 10, Rows: 150}, false},
	} {
		if got := shrunk(c.before, c.now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestRowsOfASmallDatabaseAreCounted reads pages as SQLite lays them out: a leaf
// after the file's header, an inner page, and a leaf of its own.
func TestRowsOfASmallDatabaseAreCounted(t *testing.T) {
	t.Parallel()
	db := make([]byte, 3*4096)
	copy(db, sqliteHeader)
	db[16] = 0x10 // pages of 4096 bytes
	db[100], db[104] = 0x0d, 3
	db[4096] = 0x05
	db[8192], db[8195], db[8196] = 0x0d, 1, 4
	dir := t.TempDir()
	write(t, filepath.Join(dir, "app.db"), string(db))
	write(t, filepath.Join(dir, "app.db-wal"), strings.Repeat("x", 5000))
	s, err := scanVolume(dir, everything)
	if err != nil || s.stats.Rows != 3+260 || s.stats.Kept != int64(len(db)) {
		t.Errorf("%+v, %v", s.stats, err)
	}
	if got := sqliteRows(bytes.NewReader(sqliteHeader)); got != 0 {
		t.Errorf("a file cut short has %d rows", got)
	}
}

// TestADatabaseMayGrow: one that grew past the size up to which rows are counted
// seemed to have lost all of them, and its stack got no snapshot any more.
func TestADatabaseMayGrow(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	db := func(size int) {
		content := make([]byte, size)
		copy(content, sqliteHeader)
		content[16], content[100], content[103], content[104] = 0x10, 0x0d, 0x0e, 0x90 // 3728 rows
		write(t, filepath.Join(l.data, "rows.db"), string(content))
	}
	db(maxSmall)
	l.take(t, nil)
	for range 2 {
		db(2 * maxSmall)
		if r := l.take(t, nil); len(r.Findings) > 0 || r.Snapshot.ID == "" {
			t.Fatalf("it grew: %+v", r)
		}
	}
	db(8192)
	if r := l.take(t, nil); len(r.Findings) != 1 || r.Findings[0].Code != finding.VolumeShrunk {
		t.Errorf("made anew: %+v", r)
	}
}

// TestADumpThatLostItsRowsIsRefused is fault V4: the database was created again and
// its folder is as large as before.
func TestADumpThatLostItsRowsIsRefused(t *testing.T) {
	t.Parallel()
	for rows, want := range map[int64]bool{38: true, 800: false} {
		v := Volume{Name: "data", Method: fleet.Postgres}
		tk := &taking{
			job: Job{Stack: "blog", Volumes: []Volume{v}}, meta: Meta{Volumes: []VolumeMeta{{Name: "data"}}},
			before: map[string]Stats{"data": {Rows: 890}}, dumped: map[string]dumped{"data": {}},
		}
		tk.noteRows("data", rows)
		if err := tk.judgeDumps(); (err != nil) != want || finding.AnyFatal(tk.result.Findings) != want || tk.meta.Volumes[0].Stats.Rows != rows {
			t.Errorf("%d rows: %v, %+v", rows, err, tk.result.Findings)
		}
		tk.job.AcceptShrunk = true
		if err := tk.judgeDumps(); err != nil {
			t.Errorf("accepted: %v", err)
		}
	}
}
