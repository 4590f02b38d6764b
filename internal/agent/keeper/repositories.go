package keeper

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
)

// An Archive is what a stack's repositories hold, with what this host knows of them.
type Archive struct{ *here.Stack }

// ArchiveOf returns the archive of a stack. What reaches for a remote needs the stack
// to be open.
func ArchiveOf(s *here.Stack) *Archive { return &Archive{Stack: s} }

// A repositoryNote is what this host knows of one repository in addition to what the
// remote has. Losing it costs a reading back, nothing else.
type repositoryNote struct {
	Mark     snapshot.Mark     `json:"mark,omitzero"`   // the newest snapshot that was proven
	Told     string            `json:"told,omitempty"`  // the snapshot that the record was last seen to know as the newest
	Bytes    int64             `json:"bytes,omitempty"` // of its files
	Speed    int64             `json:"speed,omitempty"` // bytes a second of the last large upload
	Known    []string          `json:"known,omitempty"` // those that were there then, and this host's own since
	Spare    repository.Spare  `json:"spare,omitzero"`
	Suspects []string          `json:"suspects,omitempty"` // packs that a reading back found lost or changed
	Damaged  map[string]string `json:"damaged,omitempty"`  // snapshots that can't be restored whole, and why
}

// NotesPath is the file of what is noted about a stack's repositories.
func (a *Archive) NotesPath() string { return a.Host.Paths.Placement(a.Name) + ".repositories" }

// Notes are by repository. Notes that can't be read are as good as none.
func (a *Archive) Notes() map[string]repositoryNote {
	var notes map[string]repositoryNote
	if err := here.ReadJSON(a.NotesPath(), &notes); err != nil || notes == nil {
		return map[string]repositoryNote{}
	}
	return notes
}

func (a *Archive) changeRepositoryNote(id string, change func(*repositoryNote)) error {
	return here.ChangeNotes(a.Host, a.Name, func() error {
		notes := a.Notes()
		n := notes[id]
		change(&n)
		notes[id] = n
		return here.WriteJSON(a.NotesPath(), notes)
	})
}

// Repository opens the folder of a stack's repository, with what this host knows
// of it. Nothing is created.
func (a *Archive) Repository(ctx context.Context, t agentapi.Target) (*here.Repository, error) {
	r, err := a.Access.Repository(ctx, a.Name, t)
	if err != nil {
		return nil, err
	}
	n := a.Notes()[t.Repository]
	r.Spare, r.Damaged = n.Spare, n.Damaged
	r.Trust = a.trust(t.Repository)
	if p, ok := a.Access.Proven[t.Repository]; ok && !r.Spare.Whole() {
		r.Spare = repository.Spare{Key: p.Key, Config: p.Config}
	}
	return r, nil
}

// made opens the folder of a stack's repository; nil where it was never made.
func (a *Archive) made(ctx context.Context, t agentapi.Target) (*here.Repository, error) {
	r, err := a.Repository(ctx, t)
	if err != nil {
		return nil, err
	}
	exists, err := repository.Exists(ctx, r.Store)
	if err != nil || !exists {
		return nil, errors.Join(err, r.Close(ctx))
	}
	return r, nil
}

// noteResult remembers what a good snapshot found out of its repository.
func (a *Archive) noteResult(id string, r snapshot.Result) error {
	return a.changeRepositoryNote(id, func(n *repositoryNote) {
		if r.Spare.Whole() {
			n.Spare = r.Spare
		}
		if !r.Skipped {
			n.Suspects = nil
		}
		if speed := speedOf(r); speed > 0 {
			n.Speed = speed
		}
		if !r.Skipped && !r.Snapshot.Diverged {
			n.Known, n.Bytes = r.Known, r.Bytes
			n.Mark = snapshot.Mark{Epoch: r.Snapshot.Epoch, Seq: r.Snapshot.Seq, Repository: id, ID: r.Snapshot.ID, At: time.Now().UTC()}
		}
		if r.Repaired > 0 {
			n.Damaged = r.Damaged
		}
	})
}

// noteChecked remembers what a reading back found. What another share's found stays until a
// snapshot has examined it.
func (a *Archive) noteChecked(id string, c snapshot.Checked) error {
	return a.changeRepositoryNote(id, func(n *repositoryNote) {
		bad := map[string]string{}
		if len(n.Suspects) > 0 {
			maps.Copy(bad, n.Damaged)
		}
		maps.Copy(bad, c.Damaged)
		n.Suspects = slices.Compact(slices.Sorted(slices.Values(append(n.Suspects, c.Suspects...))))
		n.Damaged, n.Told = bad, "" // the record is asked again, too
	})
}

// told reports whether the record knows the newest snapshot of a repository, by this host's
// note: at this epoch no other one adds any.
func (n repositoryNote) told(epoch int) bool {
	return n.Mark.Epoch == epoch && n.Told != "" && n.Told == n.Mark.ID
}
