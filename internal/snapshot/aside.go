package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"salvor/internal/atomicfile"
	"salvor/internal/fleet"
)

// Kept is data that was moved aside because other data took its place. It is
// deleted only when a snapshot holds exactly this data.
type Kept struct {
	Path     string    `json:"-"`
	Schema   int       `json:"schema"`
	Identity string    `json:"identity,omitempty"` // whose data it was, "" for unknown
	Epoch    int       `json:"epoch,omitempty"`    // as of which placement
	Snapshot string    `json:"snapshot,omitempty"` // that holds exactly this data, "" for none
	At       time.Time `json:"at"`                 // when it was moved aside
}

// oldMark is in the name of data that was moved aside; noteSuffix names the file next
// to it with its Kept.
const (
	oldMark    = ".salvor-old-"
	noteSuffix = ".json"
)

// setAside renames what is at a volume's place to `<path>.salvor-old-<time>` and
// notes what it was. was is the marker of that data. Nothing, or an empty folder, is
// removed instead.
func setAside(v Volume, was Marker, now time.Time) error {
	if err := unix.Rmdir(v.Path); err == nil || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	k := Kept{Path: v.Path + oldMark + stamp(now), Schema: fleet.Schema, At: now.UTC()}
	if was.State == MarkedReady {
		k.Identity, k.Epoch = was.Identity, was.Epoch
		k.Snapshot = was.heldStill(v)
	}
	if _, err := os.Lstat(k.Path); err == nil {
		return fmt.Errorf("%s exists already", k.Path)
	}
	if err := os.Rename(v.Path, k.Path); err != nil {
		return err
	}
	// without its note it is kept until a person removes it, which loses nothing
	_ = k.save()
	return nil
}

// Hold notes that a snapshot holds moved data exactly as it is.
func (k Kept) Hold(snapshot string) error {
	k.Schema, k.Snapshot = fleet.Schema, snapshot
	return k.save()
}

func (k Kept) save() error {
	content, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return atomicfile.Write(k.Path+noteSuffix, bytes.NewReader(content), 0o600)
}

// KeptOf returns what was moved aside from a volume, oldest first.
func KeptOf(v Volume) ([]Kept, error) {
	dir, prefix := filepath.Dir(v.Path), filepath.Base(v.Path)+oldMark
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var all []Kept
	for _, entry := range entries {
		when, is := strings.CutPrefix(entry.Name(), prefix)
		if !is || strings.HasSuffix(when, noteSuffix) {
			continue
		}
		all = append(all, readKept(filepath.Join(dir, entry.Name()), when))
	}
	return all, err
}

// readKept reads the note of moved data. A note that can't be read is as good as
// none: the data then stays.
func readKept(path, when string) Kept {
	var k Kept
	content, err := os.ReadFile(path + noteSuffix)
	if err != nil || json.Unmarshal(content, &k) != nil || k.Schema != fleet.Schema {
		k = Kept{}
	}
	if at, err := time.Parse(stampForm, when); err == nil {
		k.At = at
	}
	k.Path = path
	return k
}

// Stats counts what moved data holds.
func (k Kept) Stats() (Stats, error) {
	s, err := scanVolume(k.Path, everything)
	return s.stats, err
}

// RemoveKept deletes what was moved aside from a volume and is held by a
// snapshot of which exists says that it can be restored.
func RemoveKept(v Volume, exists func(snapshot string) bool) error {
	all, err := KeptOf(v)
	for _, k := range all {
		if k.Snapshot == "" || !exists(k.Snapshot) {
			continue
		}
		err = errors.Join(err, os.RemoveAll(k.Path), os.Remove(k.Path+noteSuffix))
	}
	return err
}
