package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

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

// A Marker is State/volumes/<stack>/<volume>.json: whose data is in a volume here, as
// of which placement, and whether it is whole.
type Marker struct {
	Schema   int       `json:"schema"`
	Identity string    `json:"identity"`
	Epoch    int       `json:"epoch"`
	State    Marking   `json:"state"`
	Snapshot string    `json:"snapshot,omitempty"` // it came from, "" for a volume that started empty
	Wish     string    `json:"wish,omitempty"`     // what was wished once and brought it here, see RestoreJob
	At       time.Time `json:"at"`
	Path     string    `json:"path,omitempty"`     // where the data is
	Place    string    `json:"place,omitempty"`    // of the folder, see placeOf; "" if it is unknown
	Held     string    `json:"held,omitempty"`     // snapshot that holds this data while its print is Print
	Print    string    `json:"print,omitempty"`    // over the data that Held holds
	Replaces *Marker   `json:"replaces,omitempty"` // while hydrating: the marker of what is to be replaced

	Unread string `json:"-"` // why the file could not be read; the rest is then zero
}

// Holding returns the snapshot that holds exactly what is at a volume's place, as it
// was taken while the stack was stopped; "" for none.
func (e Engine) Holding(stack string, v Volume) string { return e.Marker(stack, v.Name).heldStill(v) }

// heldStill returns the snapshot that holds exactly what is at the volume's place, ""
// for none.
func (m Marker) heldStill(v Volume) string {
	if m.Held == "" {
		return ""
	}
	now, err := scanVolume(v.Path, v.Omit)
	if err != nil || now.print != m.Print || now.listed > 0 {
		return ""
	}
	return m.Held
}

// Identity names a volume across hosts; the repository that its data began with
// is part of it, so a stack started fresh does not take the old one's data for
// its own, and one whose repository was replaced keeps it.
func Identity(fleetName, stack, volume, repository string) string {
	return fleetName + "/" + stack + "/" + DirName(volume) + "@" + repository
}

func (e Engine) markerPath(stack, volume string) string {
	return e.Dirs.Marker(stack, DirName(volume))
}

// Marker returns a volume's marker, the zero one when there is none. One that can't
// be read is as good as none and says so in Unread: what is in the volume is judged
// without it.
func (e Engine) Marker(stack, volume string) Marker {
	content, err := os.ReadFile(e.markerPath(stack, volume))
	if errors.Is(err, os.ErrNotExist) {
		return Marker{}
	}
	var m Marker
	if err == nil {
		err = json.Unmarshal(content, &m)
	}
	if err == nil && (m.Schema != fleet.Schema || m.State == "") {
		err = fmt.Errorf("it has schema %d and state %q", m.Schema, m.State)
	}
	if err != nil {
		return Marker{Unread: err.Error()}
	}
	return m
}

// mark writes a marker. One without a time gets the present one.
func (e Engine) mark(stack string, v Volume, m Marker) error {
	m.Schema = fleet.Schema
	if m.At.IsZero() {
		m.At = time.Now().UTC()
	}
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	path := e.markerPath(stack, v.Name)
	if err := closed(filepath.Dir(path)); err != nil {
		return err
	}
	return atomicfile.Write(path, bytes.NewReader(content), 0o600)
}

// closed makes a folder that only root can enter, or closes one that is there:
// Docker makes those of binds for everyone.
func closed(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}

func (e Engine) markReady(stack string, v Volume, m Marker) error {
	m.State, m.Path, m.Place = MarkedReady, v.Path, placeOf(v.Path)
	return e.mark(stack, v, m)
}

// Accept makes what is at a volume's place its data as of m's placement.
func (e Engine) Accept(stack string, v Volume, m Marker) error {
	if _, err := os.Stat(v.Path); err != nil {
		return err
	}
	return e.markReady(stack, v, m)
}

// StartEmpty makes a new volume ready: what is at its place is moved aside and an
// empty folder is left for Docker, which fills it from the image. A folder that is
// empty already stays. The stack does not run.
func (e Engine) StartEmpty(stack string, v Volume, m Marker) error {
	if err := ValidVolume(v); err != nil {
		return err
	}
	empty, err := isEmpty(v.Path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if !empty {
		if err := setAside(v, e.Marker(stack, v.Name), time.Now()); err != nil {
			return err
		}
		if err := os.MkdirAll(v.Path, 0o755); err != nil {
			return err
		}
	}
	m.Snapshot = ""
	return e.markReady(stack, v, m)
}

// Expect marks a volume as one whose data is on its way: from now on what is at its
// place, such as what Docker copies there from an image, is not taken for data. It
// may be called again.
func (e Engine) Expect(stack string, v Volume, identity string, epoch int) error {
	return e.mark(stack, v, e.hydrating(stack, v, Marker{Identity: identity, Epoch: epoch}))
}

// hydrating returns m for a volume whose data is about to be replaced.
func (e Engine) hydrating(stack string, v Volume, m Marker) Marker {
	m.State = MarkedHydrating
	switch was := e.Marker(stack, v.Name); was.State {
	case MarkedReady:
		m.Replaces = &was
	case MarkedHydrating:
		m.Replaces = was.Replaces
	}
	return m
}

// noteHeld notes that a snapshot of the stopped stack holds a volume's data as it
// is.
func (e Engine) noteHeld(stack string, v Volume, snapshot, now string) error {
	m := e.Marker(stack, v.Name)
	if m.State != MarkedReady {
		return nil
	}
	m.Held, m.Print = snapshot, now
	return e.mark(stack, v, m)
}

// IsMarker reports whether a file is a marker, and no data of a volume.
func IsMarker(file string) bool {
	var m Marker
	content, err := os.ReadFile(file)
	return err == nil && filepath.Ext(file) == ".json" && json.Unmarshal(content, &m) == nil && m.Identity != "" && (m.State == MarkedReady || m.State == MarkedHydrating)
}
