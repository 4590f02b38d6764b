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

// Marking is the state of a volume's data on a host.
type Marking string

// The markings. Only ready data starts.
const (
	MarkedHydrating Marking = "hydrating"
	MarkedReady     Marking = "ready"
)

// A Marker is State/volumes/<stack>/<volume>.json: whose data lies in a volume
// here, as of which placement, and whether it is whole.
type Marker struct {
	Schema   int       `json:"schema"`
	Identity string    `json:"identity"`
	Epoch    int       `json:"epoch"`
	State    Marking   `json:"state"`
	Snapshot string    `json:"snapshot,omitempty"` // it came from, "" for a volume that started empty
	At       time.Time `json:"at"`
}

// Identity names a volume across hosts; the repository that its data began with
// is part of it, so a stack started fresh does not take the old one's data for
// its own, and one whose repository was replaced keeps it.
func Identity(fleetName, stack, volume, repository string) string {
	return fleetName + "/" + stack + "/" + DirName(volume) + "@" + repository
}

func (e Engine) markerPath(stack, volume string) string {
	return filepath.Join(e.Dirs.State, "volumes", stack, DirName(volume)+".json")
}

// Marker returns a volume's marker, the zero one when there is none.
func (e Engine) Marker(stack, volume string) (Marker, error) {
	var m Marker
	path := e.markerPath(stack, volume)
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(content, &m); err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	if m.Schema > fleet.Schema {
		return m, fmt.Errorf("%s has schema %d, this salvord reads %d: use a newer one", path, m.Schema, fleet.Schema)
	}
	return m, nil
}

func (e Engine) mark(stack, volume string, m Marker) error {
	m.Schema, m.At = fleet.Schema, time.Now().UTC()
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	path := e.markerPath(stack, volume)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return atomicfile.Write(path, bytes.NewReader(content), 0o644)
}

// Advance raises the epoch of a stack's ready marker, for a placement change
// that leaves the data where it is.
func (e Engine) Advance(stack, volume string, epoch int) error {
	m, err := e.Marker(stack, volume)
	if err != nil {
		return err
	}
	if m.State != MarkedReady || m.Epoch > epoch {
		return fmt.Errorf("volume %s of %s is %q at epoch %d, not to be raised to %d", volume, stack, m.State, m.Epoch, epoch)
	}
	m.Epoch = epoch
	return e.mark(stack, volume, m)
}

// StartEmpty makes a new volume ready: what lies at its path is moved aside and
// an empty folder is left for Docker, which fills it from the image.
func (e Engine) StartEmpty(stack string, v Volume, m Marker) error {
	if err := ValidVolume(v); err != nil {
		return err
	}
	if err := setAside(v.Path, time.Now()); err != nil {
		return err
	}
	if err := os.MkdirAll(v.Path, 0o755); err != nil {
		return err
	}
	m.State, m.Snapshot = MarkedReady, ""
	return e.mark(stack, v.Name, m)
}

// oldMark stands in the name of data that was moved aside.
const oldMark = ".salvor-old-"

// setAside renames what lies at path to `<path>.salvor-old-<time>`. Nothing, or
// an empty folder, is removed instead.
func setAside(path string, now time.Time) error {
	if err := unix.Rmdir(path); err == nil || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	old := path + oldMark + stamp(now)
	if _, err := os.Lstat(old); err == nil {
		return fmt.Errorf("%s exists already", old)
	}
	return os.Rename(path, old)
}

// Kept returns what was moved aside from a volume, oldest first.
func Kept(v Volume) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(v.Path))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var paths []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), filepath.Base(v.Path)+oldMark) {
			paths = append(paths, filepath.Join(filepath.Dir(v.Path), entry.Name()))
		}
	}
	return paths, err
}

// RemoveKept deletes what was moved aside from a volume. It is called after the
// next good snapshot.
func RemoveKept(v Volume) error {
	paths, err := Kept(v)
	for _, path := range paths {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}
