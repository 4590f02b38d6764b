package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Presence is what is where a volume's data belongs.
type Presence string

// The presences.
const (
	Nothing  Presence = "nothing"  // no folder, or an empty one that no marker was made for
	Marked   Presence = "marked"   // the folder that this volume's ready marker was made for, empty or not
	Replaced Presence = "replaced" // data, in another folder than the one the marker was made for
	Unmarked Presence = "unmarked" // data, and no ready marker says whose
)

// Look says what is at a volume's place, as seen from its marker.
func Look(v Volume, m Marker, identity string) (Presence, error) {
	empty, err := isEmpty(v.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return Nothing, nil
	}
	if err != nil {
		return "", err
	}
	mine := m.State == MarkedReady && m.Identity == identity
	switch {
	case mine && (m.Place == "" || m.Place == placeOf(v.Path)):
		return Marked, nil
	case empty:
		return Nothing, nil
	case mine:
		return Replaced, nil
	}
	return Unmarked, nil
}

// isEmpty reports whether a path holds no data: an empty folder or file. What a
// file system has in its top folder from the start does not count.
func isEmpty(path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	if !info.IsDir() {
		return info.Size() == 0, nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return false, err
	}
	names, err := dir.Readdirnames(2)
	if cerr := dir.Close(); cerr != nil {
		return false, cerr
	}
	switch {
	case len(names) == 0:
		return true, nil
	case len(names) == 1 && names[0] == "lost+found":
		return isEmpty(filepath.Join(path, names[0]))
	}
	return false, err
}
