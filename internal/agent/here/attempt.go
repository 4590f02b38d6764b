package here

import (
	"fmt"
	"time"
)

// An Attempt is what a host remembers of a deploy that has not become healthy. For a
// stack with data that gets another image it is written before the new version
// starts, and whatever interrupts it, the next run continues:
//
//	snapshot, pull ─▶ stop, last snapshot ─▶ trying ──healthy──▶ forgotten
//	                                            └──not──▶ back ──▶ failed
//
// On the way back what the new version wrote is taken as a snapshot that nothing
// picks on its own, the last one takes its place, and the version before starts.
type Attempt struct {
	stamp
	State  attemptState      `json:"state"`
	Epoch  int               `json:"epoch,omitempty"` // of the placement that it belongs to; 0 in a note of an older salvord
	Commit string            `json:"commit"`          // that it is of
	Target string            `json:"target"`          // its project and images, see target
	Images map[string]string `json:"images,omitempty"`
	Built  map[string]string `json:"built,omitempty"`  // of the version before: service to image id
	Before string            `json:"before,omitempty"` // snapshot that the version before ended with; "" where its data was not at stake
	After  string            `json:"after,omitempty"`  // snapshot of what the new version wrote
	Why    string            `json:"why,omitempty"`    // it failed
	At     time.Time         `json:"at"`
}

type attemptState string

// The states of an attempt.
const (
	AttemptTrying attemptState = "trying"
	AttemptBack   attemptState = "back"
	AttemptFailed attemptState = "failed"
)

// AttemptPath is the file of a stack's attempt.
func (h *Host) AttemptPath(stack string) string {
	return h.Paths.Attempt(stack)
}

// Attempt returns the note of the stack's attempt, empty when there is none. One of an
// earlier placement is forgotten: the stack was given to another host since, and the newest
// snapshot takes the place of the data that was between two versions.
func (s *Stack) Attempt() Attempt {
	a := readNote[Attempt](s.Host.AttemptPath(s.Name))
	of := a.Epoch
	if of == 0 {
		of = s.Host.Local(s.Name).Epoch // an older salvord noted it
	}
	if of > 0 && of != s.Epoch {
		return Attempt{}
	}
	return a
}

// SaveAttempt writes the note, with the stack's epoch and the present time.
func (s *Stack) SaveAttempt(a Attempt) error {
	a.Epoch, a.At = s.Epoch, time.Now().UTC()
	return writeNote(s.Host.AttemptPath(s.Name), &a)
}

// InProgress reports whether an attempt is under way, so that the data may be between
// two versions.
func (a Attempt) InProgress() bool { return a.State == AttemptTrying || a.State == AttemptBack }

// Wish is what the volumes' markers call the way back.
func (a Attempt) Wish() string { return fmt.Sprintf("back-%.12s-%.12s", a.Commit, a.Before) }

// WentBack says what runs, and where everything is.
func (a Attempt) WentBack() string {
	if a.Before == "" {
		return "the previous version runs"
	}
	text := fmt.Sprintf("the previous version runs again, with its own data (snapshot %.8s)", a.Before)
	if a.After != "" {
		text += fmt.Sprintf("; the data written by the new version is snapshot %.8s, which is only restored by its id", a.After)
	}
	return text
}
