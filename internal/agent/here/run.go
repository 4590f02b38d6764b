package here

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"salvor/internal/stack"
)

// A RunNote says that a run works on a stack which ran when it began. It goes when
// the run ends; one that is left by a run which was killed, or interrupted while the
// stack was stopped, has the daemon go on, so that nothing stays stopped.
type RunNote struct {
	stamp
	What string    `json:"what"` // "deploy", "release"
	At   time.Time `json:"at"`
}

// RunPath is the file of a stack's run note.
func (h *Host) RunPath(stack string) string {
	return h.Paths.Unfinished(stack)
}

// RunNote returns the note of a run, empty when there is none.
func (h *Host) RunNote(stack string) RunNote { return readNote[RunNote](h.RunPath(stack)) }

// NoteRun notes that a run works on a stack.
func (h *Host) NoteRun(stack, what string) error {
	return writeNote(h.RunPath(stack), &RunNote{What: what, At: time.Now().UTC()})
}

// ForgetRun forgets a run. A note that can't be removed costs a look at the stack.
func (h *Host) ForgetRun(stack string) {
	if err := os.Remove(h.RunPath(stack)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.Trouble("runs", err)
	}
}

// During does work that may stop a stack for a while, under the stack's lock. What an
// earlier run has left stopped, and this one can't finish, stays noted. A full disk keeps
// nothing from starting: without the note nothing else is different.
func (h *Host) During(ctx context.Context, stack, what string, work func() error) error {
	left := h.RunNote(stack).What != ""
	if seen, err := h.Stacks.Observe(ctx, stack); err == nil && seen[0].Running() {
		if err := h.NoteRun(stack, what); err != nil {
			h.Trouble("runs", err)
		}
	}
	err := work()
	if err == nil || !left && ctx.Err() == nil || h.RunsWhole(context.WithoutCancel(ctx), stack) {
		h.ForgetRun(stack)
	}
	return err
}

// RunsWhole reports whether everything that was deployed last of a stack runs.
func (h *Host) RunsWhole(ctx context.Context, name string) bool {
	seen, err := h.Stacks.Observe(ctx, name)
	return err == nil && seen[0].Deployed && len(seen[0].Missing) == 0 && len(seen[0].Drifted) == 0
}

// PendingCommit says which commit was to be deployed last of a stack that runs another one,
// "" for none.
func (h *Host) PendingCommit(name string, seen stack.State) string {
	s, err := h.Placed(name)
	if err != nil || s.Kept || s.Stopped || !seen.Deployed || seen.Record.Covers(s.Deployment()) {
		return ""
	}
	return s.Spec.Commit
}
