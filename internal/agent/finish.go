package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/runlock"
	"salvor/internal/stack"
)

// A run note says that a run works on a stack which ran when it began. It goes when
// the run ends; one that is left by a run which was killed, or interrupted while the
// stack was stopped, has the daemon go on, so that nothing stays stopped.
type runNote struct {
	stamp
	What string    `json:"what"` // "deploy", "release"
	At   time.Time `json:"at"`
}

func (h *Host) runPath(stack string) string {
	return filepath.Join(h.Paths.State, "runs", stack+".json")
}

func (h *Host) runNote(stack string) runNote { return readNote[runNote](h.runPath(stack)) }

func (h *Host) begin(stack, what string) error {
	return writeNote(h.runPath(stack), &runNote{What: what, At: time.Now().UTC()})
}

// end forgets a run. A note that can't be removed costs a look at the stack.
func (h *Host) end(stack string) {
	if err := os.Remove(h.runPath(stack)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		note(h, "runs", err)
	}
}

// during does work that may stop a stack for a while, under the stack's lock. What an
// earlier run has left stopped, and this one can't finish, stays noted. A full disk keeps
// nothing from starting: without the note nothing else is different.
func (h *Host) during(ctx context.Context, stack, what string, work func() error) error {
	left := h.runNote(stack).What != ""
	if seen, err := h.Stacks.Observe(ctx, stack); err == nil && seen[0].Running() {
		if err := h.begin(stack, what); err != nil {
			note(h, "runs", err)
		}
	}
	err := work()
	if err == nil || !left && ctx.Err() == nil || h.whole(context.WithoutCancel(ctx), stack) {
		h.end(stack)
	}
	return err
}

// whole reports whether everything that was deployed last of a stack runs.
func (h *Host) whole(ctx context.Context, name string) bool {
	seen, err := h.Stacks.Observe(ctx, name)
	return err == nil && seen[0].Deployed && len(seen[0].Missing) == 0 && len(seen[0].Drifted) == 0
}

// leftOver returns the stacks of which a run has left something to finish.
func (h *Host) leftOver(spec agentapi.Host) []agentapi.Stack {
	var left []agentapi.Stack
	for _, st := range spec.Stacks {
		local := h.local(st.Name)
		if st.Stopped || st.Kept || local.Lost || local.released(st.Epoch) {
			continue
		}
		if h.attempt(st.Name).under() || h.runNote(st.Name).What != "" {
			left = append(left, st)
		}
	}
	return left
}

// finishRuns goes on with what runs have left: a way between two versions, as with
// the remote away, and stacks that are stopped for a run which was killed. While
// another run works on the host or a stack, that waits for the next round.
func (h *Host) finishRuns(ctx context.Context, sink progress.Sink) error {
	spec, err := h.Spec()
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
	if spec, err = h.Spec(); err != nil {
		return err
	}
	ask := spec
	ask.Stacks = nil
	for _, st := range h.leftOver(spec) {
		due, err := h.dueToFinish(ctx, st)
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
	r := newRun(h, ask, sink)
	defer r.who.close(ctx)
	verdicts, err := r.who.verdicts(ctx, ask)
	if err != nil {
		return err
	}
	h.wakeAll(ctx, r, verdicts)
	return nil
}

// dueToFinish reports whether a stack waits for the daemon. One that a living run
// works on does not, and neither does one that a dead run has not stopped.
func (h *Host) dueToFinish(ctx context.Context, st agentapi.Stack) (bool, error) {
	lock, err := runlock.Acquire(h.Paths.Run, stackLock(st.Name), runlock.Holder{Owner: daemon, Message: "finish", Since: time.Now().UTC()})
	if errors.As(err, new(*runlock.HeldError)) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer lock.Release()
	if h.attempt(st.Name).under() {
		return true, nil
	}
	if h.whole(ctx, st.Name) {
		h.end(st.Name)
		return false, nil
	}
	return true, nil
}

// finishing has the daemon finish what it finds in every round, beside its snapshots,
// which may take long.
func (h *Host) finishing(ctx context.Context, sink progress.Sink) {
	for pause(ctx, scheduleEvery) == nil {
		if err := h.finishRuns(ctx, sink); err != nil {
			note(h, "finish", err)
		}
	}
}

// finish goes on with a stack that a run has left stopped, once. Where it can't be and
// the data of before is whole, what was deployed last starts.
func (r *run) finish(ctx context.Context, st agentapi.Stack, goOn func() agentapi.StackReceipt) agentapi.StackReceipt {
	receipt := goOn()
	if ctx.Err() == nil {
		r.end(st.Name)
	}
	if receipt.Error == nil || ctx.Err() != nil || r.attempt(st.Name).under() || r.allReady(r.spec, st) != nil || r.whole(ctx, st.Name) {
		return receipt
	}
	return r.rise(ctx, st)
}

// alone takes a stack's lock for a run. The daemon's may have waited for a release,
// after which only an apply starts the stack here.
func (r *run) alone(ctx context.Context, st agentapi.Stack, message string) (*runlock.Lock, error) {
	lock, err := r.lockStack(ctx, st.Name, daemon, message)
	if err != nil {
		return nil, err
	}
	if r.unasked && r.local(st.Name).released(st.Epoch) {
		lock.Release()
		return nil, fault.WithHint(errReleased, "salvor apply starts it where it was, unless it was moved")
	}
	return lock, nil
}

var errReleased = errors.New("it was released for a move in the meantime")

// pending says which commit was to be deployed last of a stack that runs another one,
// "" for none.
func (h *Host) pending(name string, seen stack.State) string {
	asked, st, err := h.placed(name)
	if err != nil || st.Kept || st.Stopped || !seen.Deployed || seen.Record.Covers(deployment(asked, st, nil)) {
		return ""
	}
	return asked.Commit
}
