package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"syscall"
	"time"

	"salvor/internal/fleet"
)

// Stats counts what a volume holds.
type Stats struct {
	Files int   `json:"files"` // everything that is not a folder
	Dirs  int   `json:"dirs"`
	Bytes int64 `json:"bytes"`          // apparent sizes; a hard-linked file counts once per name
	Disk  int64 `json:"disk"`           // allocated
	Kept  int64 `json:"kept,omitempty"` // bytes without the files that SQLite keeps next to its databases, which come and go
	Rows  int64 `json:"rows,omitempty"` // that a dump has, or small SQLite databases
	Left  Left  `json:"left,omitzero"`  // what is not counted above
}

// Left is what of a volume is not in its snapshots, and why.
type Left struct {
	Patterns []string `json:"patterns,omitempty"`
	Caches   bool     `json:"caches,omitempty"` // folders with a CACHEDIR.TAG are left out
	Files    int      `json:"files"`            // everything that is not a folder
	Bytes    int64    `json:"bytes"`
}

func (l Left) omission() fleet.Omission {
	return fleet.Omission{Patterns: l.Patterns, Caches: l.Caches}
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

	caches []string // folders of which only the CACHEDIR.TAG is kept, relative
	listed int      // files that are left out by a pattern
}

// everything leaves nothing out.
var everything = fleet.Omission{}

// hotFor is more than the granularity of any kernel's file times.
const hotFor = time.Second

// hollowIf is how many times larger than what is written of it a file is that counts
// as hollow. A file system that compresses stores little of a file, and not that little.
const hollowIf = 100

// maxHollow is how much of such files a volume may have: reading them takes many
// minutes of a processor and finds zeros.
const maxHollow = 1 << 40

// scanVolume is scanSince now.
func scanVolume(root string, omit fleet.Omission) (scan, error) {
	return scanSince(root, omit, time.Now())
}

// scanSince walks a folder or a single file. What vanishes meanwhile is skipped; a
// root that does not exist is fs.ErrNotExist. What changes from a time on may change
// again unseen. What is left out is counted apart, and no part of print.
func scanSince(root string, omit fleet.Omission, from time.Time) (scan, error) {
	s := scan{}
	s.stats.Left = Left{Patterns: omit.Patterns, Caches: omit.Caches}
	sum, after := sha256.New(), from.Add(-hotFor)
	err := walk(root, omit, func(n node) error {
		if n.left {
			s.leave(n)
			return nil
		}
		s.visit(n, sum, after)
		return s.weigh(n)
	})
	s.print = hex.EncodeToString(sum.Sum(nil))
	return s, err
}

func (s *scan) leave(n node) {
	if n.info.IsDir() {
		return
	}
	s.stats.Left.Files++
	if n.listed {
		s.listed++
	}
	if n.info.Mode().IsRegular() {
		s.stats.Left.Bytes += n.info.Size()
	}
}

func (s *scan) visit(n node, sum hash.Hash, after time.Time) {
	info, st := n.info, n.info.Sys().(*syscall.Stat_t)
	if info.IsDir() {
		s.stats.Dirs++
	} else {
		s.stats.Files++
		s.stats.Disk += st.Blocks * 512
	}
	if info.Mode().IsRegular() {
		s.stats.Bytes += info.Size()
		if st.Blocks*512 < info.Size() {
			s.sparse = append(s.sparse, n.rel)
		}
		if st.Blocks*512*hollowIf < info.Size() {
			s.hollow += info.Size()
		}
	}
	sum.Write([]byte(n.rel))
	props := []int64{int64(st.Mode), int64(st.Uid), int64(st.Gid), int64(st.Ino)}
	if n.cache { // its times are those of what is left out
		s.caches = append(s.caches, n.rel)
	} else {
		s.hot = s.hot || changed(info).After(after)
		written, changed := times(st)
		props = append(props, st.Size, written.Sec, written.Nsec, changed.Sec, changed.Nsec)
	}
	_ = binary.Write(sum, binary.LittleEndian, props) // a hash takes everything
}
