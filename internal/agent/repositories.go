package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
)

// A repositoryNote is what this host knows of one repository in addition to what the
// remote has. Losing it costs a reading back, nothing else.
type repositoryNote struct {
	Mark     snapshot.Mark     `json:"mark,omitzero"`   // the newest snapshot that was proven
	Known    []string          `json:"known,omitempty"` // those that were there then, and this host's own since
	Spare    repository.Spare  `json:"spare,omitzero"`
	Suspects []string          `json:"suspects,omitempty"` // packs that a reading back found lost or changed
	Damaged  map[string]string `json:"damaged,omitempty"`  // snapshots that can't be restored whole, and why
}

func (k *keeper) notesPath(stack string) string { return k.Paths.Placement(stack) + ".repositories" }

// repositoryNotes are by repository. Notes that can't be read are as good as none.
func (k *keeper) repositoryNotes(stack string) map[string]repositoryNote {
	var notes map[string]repositoryNote
	if err := readJSON(k.notesPath(stack), &notes); err != nil || notes == nil {
		return map[string]repositoryNote{}
	}
	return notes
}

func (k *keeper) changeRepositoryNote(stack, id string, change func(*repositoryNote)) error {
	notes := k.repositoryNotes(stack)
	n := notes[id]
	change(&n)
	notes[id] = n
	return writeJSON(k.notesPath(stack), notes)
}

// repository opens the folder of a stack's repository, with what this host knows
// of it. Nothing is created.
func (k *keeper) repository(ctx context.Context, s *Stack, t agentapi.Target) (*opened, error) {
	r, err := s.access.repository(ctx, s.Name, t)
	if err != nil {
		return nil, err
	}
	n := k.repositoryNotes(s.Name)[t.Repository]
	r.Spare, r.Damaged = n.Spare, n.Damaged
	r.Trust = k.trust(s, t.Repository)
	if p, ok := s.access.proven[t.Repository]; ok && !r.Spare.Whole() {
		r.Spare = repository.Spare{Key: p.Key, Config: p.Config}
	}
	return r, nil
}

// made opens the folder of a stack's repository; nil where it was never made.
func (k *keeper) made(ctx context.Context, s *Stack, t agentapi.Target) (*opened, error) {
	r, err := k.repository(ctx, s, t)
	if err != nil {
		return nil, err
	}
	exists, err := repository.Exists(ctx, r.Store)
	if err != nil || !exists {
		return nil, errors.Join(err, r.close(ctx))
	}
	return r, nil
}

// noteResult remembers what a good snapshot found out of its repository.
func (k *keeper) noteResult(stack, id string, r snapshot.Result) error {
	return k.changeRepositoryNote(stack, id, func(n *repositoryNote) {
		if r.Spare.Whole() {
			n.Spare = r.Spare
		}
		if !r.Skipped {
			n.Suspects = nil
		}
		if !r.Skipped && !r.Snapshot.Diverged {
			n.Known = r.Known
			n.Mark = snapshot.Mark{Epoch: r.Snapshot.Epoch, Seq: r.Snapshot.Seq, Repository: id, ID: r.Snapshot.ID, At: time.Now().UTC()}
		}
		if r.Repaired > 0 {
			n.Damaged = r.Damaged
		}
	})
}

// noteChecked remembers what a reading back found.
func (k *keeper) noteChecked(stack, id string, c snapshot.Checked) error {
	return k.changeRepositoryNote(stack, id, func(n *repositoryNote) {
		n.Suspects = slices.Compact(slices.Sorted(slices.Values(append(n.Suspects, c.Suspects...))))
		n.Damaged = c.Damaged
	})
}
