package agentapi

import "time"

// TargetState is what could be restored from one target now.
type TargetState struct {
	Name    string        `json:"name"`
	Goal    time.Duration `json:"goal"`             // how old the data may be
	Silent  bool          `json:"silent,omitempty"` // it did not answer: Volumes is what this host knows
	Since   time.Time     `json:"since,omitzero"`   // the first try to take a snapshot there
	Volumes []VolumeData  `json:"volumes"`
}

// VolumeData is the newest data of a volume on a target.
type VolumeData struct {
	Name string    `json:"name"`
	At   time.Time `json:"at,omitzero"` // the data is that of this time; zero for none
}

// Oldest returns the time of the volume whose data is the oldest, the zero one where it
// has none, and " of NAME" unless all have data of that time.
func (t TargetState) Oldest() (at time.Time, of string) {
	for i, v := range t.Volumes {
		switch {
		case i == 0:
			at = v.At
		case v.At.Before(at):
			at, of = v.At, " of "+v.Name
		case v.At.After(at) && of == "":
			of = " of " + t.Volumes[0].Name
		}
	}
	return at, of
}

// SilentTarget is a target that did not answer.
type SilentTarget struct {
	Name   string       `json:"name"`
	Why    string       `json:"why"`
	Newest SnapshotInfo `json:"newest"` // that it is known to have; without an ID for unknown
}
