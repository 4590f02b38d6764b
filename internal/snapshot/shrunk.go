package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"salvor/internal/finding"
	"salvor/internal/snapshot/sqlite"
)

// A volume is judged by what it holds: by its files and bytes, and by the rows of its
// dump or of small SQLite databases, which keep their size when they are emptied.
// Fewer than these are skipped: such counts mean nothing.
const (
	leastFiles = 10
	leastBytes = 4 << 10
	leastRows  = 20
)

// shrunk reports whether a volume lost at least nine tenths of its files, bytes
// or rows.
func shrunk(before, now Stats) bool {
	return lost(int64(before.Files), int64(now.Files), leastFiles) || lost(before.weight(), now.weight(), leastBytes) || emptied(before, now)
}

// alike makes what a volume had and has comparable. Where other things were left out, all that it had is compared with
// all that it has; rows were counted in the rest, so they are not compared.
func alike(before, now Stats) (Stats, Stats) {
	if before.Left.omission().Equal(now.Left.omission()) {
		return before, now
	}
	before, now = before.whole(), now.whole()
	now.Rows = before.Rows
	return before, now
}

// whole counts what is left out as well.
func (s Stats) whole() Stats {
	s.Files += s.Left.Files
	s.Bytes += s.Left.Bytes
	if s.Kept > 0 {
		s.Kept += s.Left.Bytes
	}
	return s
}

func emptied(before, now Stats) bool { return lost(before.Rows, now.Rows, leastRows) }

func lost(before, now, least int64) bool { return before >= least && now*10 <= before }

// weight is how many bytes count. Snapshots from before Kept was there have none.
func (s Stats) weight() int64 {
	if s.Kept > 0 {
		return s.Kept
	}
	if s.Bytes > 0 && s.Files > 0 {
		return s.Bytes
	}
	return 0
}

// maxSmall bounds the databases whose rows are counted: a larger one that is created
// again is detected by its size.
const maxSmall = 1 << 20

// weigh adds what a file counts for.
func (s *scan) weigh(n node) error {
	if !n.info.Mode().IsRegular() || sqlite.IsSidecar(n.name) {
		return nil
	}
	s.stats.Kept += n.info.Size()
	if n.info.Size() == 0 || n.info.Size() > maxSmall {
		return nil
	}
	f, err := n.open()
	if err != nil || f == nil {
		return err
	}
	s.stats.Rows += sqliteRows(f)
	return f.Close()
}

// outgrown reports whether a volume has a database that is too large for its rows
// to be counted: it may be the small one that they were counted of last time.
func outgrown(v Volume) bool {
	found := errors.New("one is enough")
	err := kept(v.Path, v.Omit, func(n node) error {
		if !n.info.Mode().IsRegular() || n.info.Size() <= maxSmall {
			return nil
		}
		f, err := n.open()
		if err != nil || f == nil {
			return err
		}
		defer f.Close()
		if sqlite.Is(f) {
			return found
		}
		return nil
	})
	return errors.Is(err, found)
}

// sqliteRows counts the rows in a small SQLite database's pages
// (https://sqlite.org/fileformat2.html, "B-tree Pages"), 0 for any other file. It
// reads what is on disk, without the database's lock: it is an estimate.
func sqliteRows(f io.ReaderAt) int64 {
	head := make([]byte, 100)
	if _, err := f.ReadAt(head, 0); err != nil || !sqlite.Is(f) {
		return 0
	}
	size := int64(binary.BigEndian.Uint16(head[16:]))
	if size == 1 {
		size = 64 << 10
	}
	if size < 512 {
		return 0
	}
	const leaf = 0x0d // of a table
	var rows int64
	page := make([]byte, 5)
	for at := int64(0); at < maxSmall; at += size {
		from := at
		if at == 0 {
			from = int64(len(head)) // the file's header comes first
		}
		if _, err := f.ReadAt(page, from); err != nil {
			break
		}
		if page[0] == leaf {
			rows += int64(binary.BigEndian.Uint16(page[3:]))
		}
	}
	return rows
}

// errEmptied means: a dump has lost nearly all rows.
var errEmptied = errors.New("the database has lost nearly all of its rows")

// judgeDumps refuses a dump that has lost nearly all its rows since the last
// snapshot. A database that was not dumped is taken to hold what it held.
func (t *taking) judgeDumps() error {
	for _, v := range t.job.Volumes {
		before := t.previously(v)
		if _, ok := t.dumped[v.Name]; !ok {
			if v.Method.Native() {
				t.noteRows(v.Name, before.Rows)
			}
			continue
		}
		now, _ := t.meta.Volume(v.Name)
		if !t.job.AcceptShrunk && emptied(before, now.Stats) {
			t.refuse(finding.VolumeShrunk, v.Name, fmt.Sprintf("its database has %d rows; the last snapshot has %d", now.Stats.Rows, before.Rows), t.fixForLoss())
			return errEmptied
		}
	}
	return nil
}

// previously is what a volume had in the last snapshot, under its name at that time.
func (t *taking) previously(v Volume) Stats {
	if before, known := t.before[v.Name]; known {
		return before
	}
	return t.before[v.Formerly]
}

// noteRows writes down how many rows a volume holds.
func (t *taking) noteRows(volume string, rows int64) {
	for i := range t.meta.Volumes {
		if t.meta.Volumes[i].Name == volume {
			t.meta.Volumes[i].Stats.Rows = rows
		}
	}
}

// refuse adds a finding for which no snapshot is taken.
func (t *taking) refuse(code finding.Code, volume, text, fix string) {
	t.result.Findings = append(t.result.Findings, finding.Finding{Code: code, Severity: finding.Fatal, Subject: t.job.Stack + "/" + volume, Text: text, Fix: fix})
}

func (t *taking) fixForLoss() string {
	return "salvor restore " + t.job.Stack + " brings the data back; salvor snapshot take " + t.job.Stack + " --accept-shrunk if it is intended"
}
