package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Stats counts what a volume holds.
type Stats struct {
	Files int   `json:"files"` // everything that is no folder
	Dirs  int   `json:"dirs"`
	Bytes int64 `json:"bytes"`          // apparent sizes; a hard-linked file counts once per name
	Disk  int64 `json:"disk"`           // allocated
	Kept  int64 `json:"kept,omitempty"` // bytes without what SQLite keeps beside its databases, which comes and goes
	Rows  int64 `json:"rows,omitempty"` // that a dump has, or small SQLite databases
}

// A scan is one look at a volume's data.
type scan struct {
	stats  Stats
	sparse []string // files with holes, relative
	// print changes whenever a file's data or properties did: it covers path,
	// mode, owner, size, inode, modification and change time of everything.
	print string
	// hot: something changed so shortly before the scan that a later change
	// could carry the same time, so that print proves nothing.
	hot bool
}

// hotFor is more than the granularity of any kernel's file times.
const hotFor = time.Second

// scanVolume is scanSince now.
func scanVolume(root string) (scan, error) { return scanSince(root, time.Now()) }

// scanSince walks a folder or a single file. What vanishes meanwhile is passed
// over; a root that does not exist is fs.ErrNotExist. What changes from a time on may
// change again unseen.
func scanSince(root string, from time.Time) (scan, error) {
	if _, err := os.Lstat(root); err != nil {
		return scan{}, err
	}
	s := scan{}
	sum, after := sha256.New(), from.Add(-hotFor)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return ignoreVanished(err)
		}
		info, err := d.Info()
		if err != nil {
			return ignoreVanished(err)
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		s.visit(rel, info, sum, after)
		s.weigh(path, info)
		return nil
	})
	s.print = hex.EncodeToString(sum.Sum(nil))
	return s, err
}

func ignoreVanished(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
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
	}
	s.hot = s.hot || changed(info).After(after)
	sum.Write([]byte(rel))
	props := [...]int64{
		int64(st.Mode), int64(st.Uid), int64(st.Gid), st.Size, int64(st.Ino),
		st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec,
	}
	_ = binary.Write(sum, binary.LittleEndian, props) // a hash takes everything
}
