package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/runlock"
	"salvor/internal/stack"
)

// A run note says that a run works on a stack which ran when it began. It goes when
// the run ends; one that is left by a run which was killed, or interrupted while the
// stack was stopped, makes the daemon continue, so that nothing stays stopped.
type runNote struct {
	stamp
	What string    `json:"what"` // "deploy", "release"
	At   time.Time `json:"at"`
}

func (h *base) runPath(stack string) string {
	return h.Paths.Unfinished(stack)
}

func (h *base) runNote(stack string) runNote { return readNote[runNote](h.runPath(stack)) }

func (h *base) begin(stack, what string) error {
	return writeNote(h.runPath(stack), &runNote{What: what, At: time.Now().UTC()})
}

// end forgets a run. A note that can't be removed costs a look at the stack.
func (h *base) end(stack string) {
	if err := os.Remove(h.runPath(stack)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.trouble("runs", err)
	}
}

// during does work that may stop a stack for a while, under the stack's lock. What an
// earlier run has left stopped, and this one can't finish, stays noted. A full disk keeps
// nothing from starting: without the note nothing else is different.
func (h *base) during(ctx context.Context, stack, what string, work func() error) error {
	left := h.runNote(stack).What != ""
	if seen, err := h.Stacks.Observe(ctx, stack); err == nil && seen[0].Running() {
		if err := h.begin(stack, what); err != nil {
			h.trouble("runs", err)
		}
	}
	err := work()
	if err == nil || !left && ctx.Err() == nil || h.whole(context.WithoutCancel(ctx), stack) {
		h.end(stack)
	}
	return err
}

// whole reports whether everything that was deployed last of a stack runs.
func (h *base) whole(ctx context.Context, name string) bool {
	seen, err := h.Stacks.Observe(ctx, name)
	return err == nil && seen[0].Deployed && len(seen[0].Missing) == 0 && len(seen[0].Drifted) == 0
}

// leftOver returns the stacks of which a run has left something to finish.
func (h *Host) leftOver(spec agentapi.Host) []agentapi.Stack {
	var left []agentapi.Stack
	for _, st := range spec.Stacks {
		local := h.base().local(st.Name)
		if st.Stopped || st.Kept || local.Lost || local.released(st.Epoch) {
			continue
		}
		if h.base().attempt(st.Name).under() || h.base().runNote(st.Name).What != "" {
			left = append(left, st)
		}
	}
	return left
}

// finishRuns continues with what runs have left: a way between two versions, as with
// the remote away, and stacks that are stopped for a run which was killed. While
// another run works on the host or a stack, that waits for the next round.
func (h *Host) finishRuns(ctx context.Context, sink progress.Sink) error {
	spec, err := h.base().Spec()
	if err != nil || len(h.leftOver(spec)) == 0 {
		return err
	}
	lock, err := runlock.Acquire(h.Paths.Run, "host", runlock.Holder{Owner: daemon, Message: "finishing what another run left undone", Since: time.Now().UTC()})
	if errors.As(err, new(*runlock.HeldError)) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	if spec, err = h.base().Spec(); err != nil {
		return err
	}
	ask := spec
	ask.Stacks = nil
	for _, st := range h.leftOver(spec) {
		due, err := h.dueToFinish(ctx, h.base().at(spec, st))
		if err != nil {
			return err
		}
		if due {
			ask.Stacks = append(ask.Stacks, st)
		}
	}
	if len(ask.Stacks) == 0 {
		return nil
	}
	r := newRun(h.keeper(), ask, sink)
	defer r.who.Close(ctx)
	verdicts := r.who.Verdicts(ctx, ask)
	h.wakeAll(ctx, r, verdicts)
	return nil
}

// dueToFinish reports whether a stack waits for the daemon. One that a living run
// works on does not, and neither does one that a dead run has not stopped.
func (h *Host) dueToFinish(ctx context.Context, s *Stack) (bool, error) {
	lock, err := runlock.Acquire(h.Paths.Run, stackLock(s.Name), runlock.Holder{Owner: daemon, Message: "finish", Since: time.Now().UTC()})
	if errors.As(err, new(*runlock.HeldError)) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer lock.Release()
	if h.base().attempt(s.Name).under() {
		return true, nil
	}
	if h.base().whole(ctx, s.Name) {
		h.base().end(s.Name)
		return false, nil
	}
	return true, nil
}

// finish continues with a stack that a run has left stopped, once. If it can't be and
// the previous data is intact, the last deployed version starts.
func (r *run) finish(ctx context.Context, s *Stack, goOn func() agentapi.StackReceipt) agentapi.StackReceipt {
	receipt := goOn()
	if ctx.Err() == nil {
		r.end(s.Name)
	}
	if receipt.Error == nil || ctx.Err() != nil || r.attempt(s.Name).under() || s.allReady() != nil || r.whole(ctx, s.Name) {
		return receipt
	}
	return r.rise(ctx, s)
}

// alone takes a stack's lock for a run. The daemon's may have waited for a release,
// after which only an apply starts the stack here.
func (r *run) alone(ctx context.Context, s *Stack, message string) (*runlock.Lock, error) {
	lock, err := r.lockStack(ctx, s.Name, daemon, message)
	if err != nil {
		return nil, err
	}
	if r.unasked && r.local(s.Name).released(s.Epoch) {
		lock.Release()
		return nil, fault.WithHint(errReleased, "salvor apply starts it where it was, unless it was moved")
	}
	return lock, nil
}

var errReleased = errors.New("it was released for a move in the meantime")

// pending says which commit was to be deployed last of a stack that runs another one,
// "" for none.
func (h *base) pending(name string, seen stack.State) string {
	s, err := h.placed(name)
	if err != nil || s.Kept || s.Stopped || !seen.Deployed || seen.Record.Covers(deployment(s.Spec, s.Stack, nil)) {
		return ""
	}
	return s.Spec.Commit
}
