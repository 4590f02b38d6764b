package startup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/record"
)

// fulfilRequest brings back what was wished and notes how it went. What was
// interrupted has not failed: the next run continues with it.
func fulfilRequest(ctx context.Context, s *Start, work func() error) error {
	err := work()
	if err == nil || ctx.Err() != nil {
		return err
	}
	failed := &here.FailedWish{ID: s.Restore.ID, At: time.Now().UTC(), Why: err.Error()}
	s.Host.ChangeWishes(s.Name, func(w *here.Wishes) { w.Failed = failed })
	if s.AllReady() == nil { // stopped for what then could not be
		err = errors.Join(err, s.startUnlessRunning(ctx))
	}
	return fmt.Errorf("restore of snapshot %.8s: %w", s.Restore.Snapshot, err)
}

// awaitTargets waits, at most a minute, until a target says that it has what is
// wished: at a boot the network may come later than salvord.
func awaitTargets(ctx context.Context, s *Start) {
	limited, cancel := context.WithTimeout(ctx, wishPatience)
	defer cancel()
	for {
		_, err := keeper.Holding(s.Name, s.Targets, s.Restore.Snapshot, keeper.ArchiveOf(s.Stack).Lister(limited))
		if err == nil || here.Sleep(limited, wishEvery) != nil {
			return // what is wrong the restore itself says
		}
	}
}

// restoreAfterBoot has the boot fulfil what is wished before the stack starts. Where it
// can't be and the data of before is whole, the stack starts on that, and the
// wish waits for the operator: what is written from now on would be lost to it.
func restoreAfterBoot(ctx context.Context, s *Start, v record.Verdict, known bool) (bool, agentapi.StackReceipt) {
	wish := s.Wish()
	if wish == nil || wish.State != agentapi.WishPending {
		return false, agentapi.StackReceipt{}
	}
	if opened, err := s.Open(); err == nil {
		awaitTargets(ctx, s.Run.On(opened))
	}
	receipt := s.Deploy(ctx, v)
	if receipt.Error == nil || !known || s.AllReady() != nil {
		return true, receipt
	}
	return true, s.startAsDeployed(ctx)
}

const (
	wishPatience = time.Minute
	wishEvery    = 5 * time.Second
)

// snapshotAfterRestore makes the restored data the newest snapshot, which a recovery would
// take; whatever its size, since the operator chose it. The replaced data stays next to
// the volume for now. Where it can't be taken it stays owed, and the daemon tries.
func snapshotAfterRestore(ctx context.Context, s *Start) {
	if s.Host.Wishes(s.Name).Owed == "" {
		return
	}
	if _, err := s.Run.TakeLocked(ctx, s.Stack, keeper.Taking{Sink: s.Run.sink}); err != nil {
		s.Run.Warn(s.Name, owedFinding(s.Run.Spec.Name, s.Name, err.Error()))
	}
}

func owedFinding(host, stack, why string) finding.Finding {
	return finding.Finding{
		Code: finding.SnapshotFailed, Severity: finding.Warning, Subject: host + "/" + stack,
		Text: "the restored data is not in a snapshot yet, so a recovery would restore an older one: " + why,
		Fix:  "nothing to do: Salvor tries again every few minutes; salvor snapshot take " + stack + " does it now",
	}
}

// WishFindings says of a wish that failed why, and how it continues; and that its
// snapshot is owed.
func WishFindings(s *here.Stack) []finding.Finding {
	var found []finding.Finding
	if s.Host.Wishes(s.Name).Owed != "" {
		found = append(found, owedFinding(s.Spec.Name, s.Name, "it waits for its turn"))
	}
	wish := s.Wish()
	if wish == nil || wish.State != agentapi.WishFailed {
		return found
	}
	return append(found, finding.Finding{
		Code: finding.RestoreFailed, Severity: finding.Warning, Subject: s.Spec.Name + "/" + s.Name,
		Text: fmt.Sprintf("the restore of snapshot %.8s failed, %s: %s", s.Restore.Snapshot, wish.At.Format(time.DateTime), wish.Why),
		Fix:  fmt.Sprintf("salvor restore %s --snapshot %.8s%s tries again; salvor restore %s --withdraw cancels it", s.Name, s.Restore.Snapshot, only(s.Restore.Volumes), s.Name),
	})
}

// only are the flags that have some volumes go back.
func only(volumes []string) string {
	flags := ""
	for _, v := range volumes {
		flags += " --volume " + project.AsWritten(v)
	}
	return flags
}

// leaveAsDeployed keeps a stack as it was deployed last: what the commit has for it is not
// to run on the data that is here.
func (s *Start) leaveAsDeployed(ctx context.Context, why string, receipt *agentapi.StackReceipt) error {
	progress.Scope{Sink: s.Run.sink, Stack: s.Name}.Note(why)
	receipt.Outcome = "waiting"
	return s.startUnlessRunning(ctx)
}

// startUnlessRunning starts what was deployed last, unless all of it runs.
func (s *Start) startUnlessRunning(ctx context.Context) error {
	seen, err := s.Host.Stacks.Observe(ctx, s.Name)
	if err != nil || !seen[0].Deployed || len(seen[0].Missing) == 0 {
		return err
	}
	return s.startContainers(ctx)
}
