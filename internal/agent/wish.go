package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/snapshot"
)

// A restore that the operator wished (fleet.Restore) is fulfilled once, by
// whichever run comes first:
//
//	pending ──data in place──▶ done, its snapshot owed ──taken──▶ done
//	   └──it can't be──▶ failed, until the operator asks again or withdraws it
//
// That the data is in place is written in the volumes' markers, in the same write
// that calls them ready. These notes follow.
type wishes struct {
	stamp
	Done   string      `json:"done,omitempty"` // id of the last that was fulfilled
	Owed   string      `json:"owed,omitempty"` // id of the one whose data no snapshot holds as the newest yet
	Failed *failedWish `json:"failed,omitempty"`
}

type failedWish struct {
	ID  string    `json:"id"`
	At  time.Time `json:"at"`
	Why string    `json:"why"`
}

func (h *base) wishesPath(stack string) string {
	return h.Paths.Wish(stack)
}

func (h *base) wishes(stack string) wishes { return readNote[wishes](h.wishesPath(stack)) }

// changeWishes notes what became of a wish. A full disk keeps no stack from
// starting: what is in place the markers say, too.
func (h *base) changeWishes(stack string, change func(*wishes)) {
	w := h.wishes(stack)
	change(&w)
	if err := writeNote(h.wishesPath(stack), &w); err != nil {
		h.trouble("wishes", err)
	}
}

// standing returns the state of a stack's wish, nil if there is none.
func (s *Stack) standing() *agentapi.Wish {
	if s.Restore == nil {
		return nil
	}
	wish, w := &agentapi.Wish{ID: s.Restore.ID, State: agentapi.WishPending}, s.wishes(s.Name)
	switch {
	case w.Done == wish.ID || s.inPlace(wish.ID):
		wish.State = agentapi.WishDone
	case w.Failed != nil && w.Failed.ID == wish.ID && s.allReady() == nil:
		wish.State, wish.At, wish.Why = agentapi.WishFailed, w.Failed.At, w.Failed.Why
	}
	return wish
}

// inPlace reports whether a wish has put the data of every volume in its place.
func (s *Stack) inPlace(id string) bool {
	volumes := s.protected()
	for _, v := range volumes {
		m := s.Snapshots.Marker(s.Name, v.Name)
		if m.State != snapshot.MarkedReady || m.Epoch != s.Epoch || m.Wish != id {
			return false
		}
	}
	return len(volumes) > 0
}

// noteDone remembers that a wish is fulfilled, and that its snapshot is owed. A run
// that was interrupted between the data and this note leaves it to the next.
func (h *base) noteDone(stack, id string) {
	if h.wishes(stack).Done != id {
		h.changeWishes(stack, func(w *wishes) { w.Done, w.Owed, w.Failed = id, id, nil })
	}
}

// fulfil brings back what was wished and notes how it went. What was interrupted has
// not failed: the next run continues with it.
func (r *run) fulfil(ctx context.Context, s *Stack, work func() error) error {
	err := work()
	if err == nil || ctx.Err() != nil {
		return err
	}
	failed := &failedWish{ID: s.Restore.ID, At: time.Now().UTC(), Why: err.Error()}
	r.changeWishes(s.Name, func(w *wishes) { w.Failed = failed })
	if s.allReady() == nil { // stopped for what then could not be
		err = errors.Join(err, r.asDeployed(ctx, s))
	}
	return fmt.Errorf("restore of snapshot %.8s: %w", s.Restore.Snapshot, err)
}

// answers waits, at most a minute, until a target says that it has what is
// wished: at a boot the network may come later than salvord.
func (r *run) answers(ctx context.Context, s *Stack) {
	limited, cancel := context.WithTimeout(ctx, wishPatience)
	defer cancel()
	for {
		_, err := holding(s.Name, s.Targets, s.Restore.Snapshot, r.lister(limited, s))
		if err == nil || pause(limited, wishEvery) != nil {
			return // what is wrong the restore itself says
		}
	}
}

// finishWish has the boot fulfil what is wished before the stack starts. Where it
// can't be and the data of before is whole, the stack starts on that, and the
// wish waits for the operator: what is written from now on would be lost to it.
func (r *run) finishWish(ctx context.Context, s *Stack, v record.Verdict, known bool) (bool, agentapi.StackReceipt) {
	wish := s.standing()
	if wish == nil || wish.State != agentapi.WishPending {
		return false, agentapi.StackReceipt{}
	}
	if opened, err := s.open(); err == nil {
		r.answers(ctx, opened)
	}
	receipt := r.stack(ctx, s, v)
	if receipt.Error == nil || !known || s.allReady() != nil {
		return true, receipt
	}
	return true, r.rise(ctx, s)
}

const (
	wishPatience = time.Minute
	wishEvery    = 5 * time.Second
)

// secure makes the restored data the newest snapshot, which a recovery would take;
// whatever its size, since the operator chose it. The replaced data stays next to the
// volume for now. Where it can't be taken it stays owed, and the daemon tries.
func (r *run) secure(ctx context.Context, s *Stack) {
	if r.wishes(s.Name).Owed == "" {
		return
	}
	if _, err := r.takeLocked(ctx, s, taking{sink: r.sink}); err != nil {
		r.warn(s.Name, owedFinding(r.spec.Name, s.Name, err.Error()))
	}
}

// owing makes of a snapshot the one that a restore owes, if it does.
func (k *keeper) owing(stack string, t taking) taking {
	if k.wishes(stack).Owed != "" && !t.diverged {
		t.force, t.keep, t.accept = true, true, true
	}
	return t
}

// paid notes that the owed snapshot is taken.
func (k *keeper) paid(stack string) {
	if k.wishes(stack).Owed != "" {
		k.changeWishes(stack, func(w *wishes) { w.Owed = "" })
	}
}

func owedFinding(host, stack, why string) finding.Finding {
	return finding.Finding{
		Code: finding.SnapshotFailed, Severity: finding.Warning, Subject: host + "/" + stack,
		Text: "the restored data is not in a snapshot yet, so a recovery would restore an older one: " + why,
		Fix:  "nothing to do: Salvor tries again every few minutes; salvor snapshot take " + stack + " does it now",
	}
}

// wishFindings says of a wish that failed why, and how it continues; and that its
// snapshot is owed.
func wishFindings(s *Stack) []finding.Finding {
	var found []finding.Finding
	if s.wishes(s.Name).Owed != "" {
		found = append(found, owedFinding(s.Spec.Name, s.Name, "it waits for its turn"))
	}
	wish := s.standing()
	if wish == nil || wish.State != agentapi.WishFailed {
		return found
	}
	return append(found, finding.Finding{
		Code: finding.RestoreFailed, Severity: finding.Warning, Subject: s.Spec.Name + "/" + s.Name,
		Text: fmt.Sprintf("the restore of snapshot %.8s failed, %s: %s", s.Restore.Snapshot, wish.At.Format(time.DateTime), wish.Why),
		Fix:  fmt.Sprintf("salvor restore %s --snapshot %.8s tries again; salvor restore %s --withdraw cancels it", s.Name, s.Restore.Snapshot, s.Name),
	})
}

// leave keeps a stack as it was deployed last: what the commit has for it is not
// to run on the data that is here.
func (r *run) leave(ctx context.Context, s *Stack, why string, receipt *agentapi.StackReceipt) error {
	progress.Scope{Sink: r.sink, Stack: s.Name}.Note(why)
	receipt.Outcome = "waiting"
	return r.asDeployed(ctx, s)
}

// asDeployed starts what was deployed last, unless it runs.
func (r *run) asDeployed(ctx context.Context, s *Stack) error {
	seen, err := r.Stacks.Observe(ctx, s.Name)
	if err != nil || !seen[0].Deployed || seen[0].Running() {
		return err
	}
	return r.restart(ctx, s)
}
