package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io/fs"
	"syscall"
	"time"
)

// Stats counts what a volume holds.
type Stats struct {
	Files int   `json:"files"` // everything that is not a folder
	Dirs  int   `json:"dirs"`
	Bytes int64 `json:"bytes"`          // apparent sizes; a hard-linked file counts once per name
	Disk  int64 `json:"disk"`           // allocated
	Kept  int64 `json:"kept,omitempty"` // bytes without the files that SQLite keeps next to its databases, which come and go
	Rows  int64 `json:"rows,omitempty"` // that a dump has, or small SQLite databases
}

// A scan is one look at a volume's data.
type scan struct {
	stats  Stats
	sparse []string // files with holes, relative
	hollow int64    // bytes of files of which hardly anything is written
	// print changes whenever a file's data or properties did: it covers path,
	// mode, owner, size, inode, modification and change time of everything.
	print string
	// hot: something changed so shortly before the scan that a later change
	// could carry the same time, so that print proves nothing.
	hot bool
}

// hotFor is more than the granularity of any kernel's file times.
const hotFor = time.Second

// hollowIf is how many times larger than what is written of it a file is that counts
// as hollow. A file system that compresses stores little of a file, and not that little.
const hollowIf = 100

// maxHollow is how much of such files a volume may have: reading them takes many
// minutes of a processor and finds zeros.
const maxHollow = 1 << 40

// scanVolume is scanSince now.
func scanVolume(root string) (scan, error) { return scanSince(root, time.Now()) }

// scanSince walks a folder or a single file. What vanishes meanwhile is skipped; a
// root that does not exist is fs.ErrNotExist. What changes from a time on may change
// again unseen.
func scanSince(root string, from time.Time) (scan, error) {
	s := scan{}
	sum, after := sha256.New(), from.Add(-hotFor)
	err := walk(root, func(n node) error {
		s.visit(n.rel, n.info, sum, after)
		return s.weigh(n)
	})
	s.print = hex.EncodeToString(sum.Sum(nil))
	return s, err
}

func (s *scan) visit(rel string, info fs.FileInfo, sum hash.Hash, after time.Time) {
	st := info.Sys().(*syscall.Stat_t)
	if info.IsDir() {
		s.stats.Dirs++
	} else {
		s.stats.Files++
		s.stats.Disk += st.Blocks * 512
	}
	if info.Mode().IsRegular() {
		s.stats.Bytes += info.Size()
		if st.Blocks*512 < info.Size() {
			s.sparse = append(s.sparse, rel)
		}
		if st.Blocks*512*hollowIf < info.Size() {
			s.hollow += info.Size()
		}
	}
	s.hot = s.hot || changed(info).After(after)
	sum.Write([]byte(rel))
	written, changed := times(st)
	props := [...]int64{
		int64(st.Mode), int64(st.Uid), int64(st.Gid), st.Size, int64(st.Ino),
		written.Sec, written.Nsec, changed.Sec, changed.Nsec,
	}
	_ = binary.Write(sum, binary.LittleEndian, props) // a hash takes everything
}
