package startup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/hold"
	"salvor/internal/journal"
	"salvor/internal/project"
	"salvor/internal/record"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
)

// Deploy brings one stack up, under its lock, or says in its receipt why not. It may be
// called again: what a run that was interrupted has begun is continued.
func (s *Start) Deploy(ctx context.Context, v record.Verdict) agentapi.StackReceipt {
	receipt := agentapi.StackReceipt{Name: s.Name, Epoch: s.Epoch}
	lock, err := s.lockForRun(ctx, "deploy")
	if err == nil {
		defer lock.Release()
		if err = s.Run.Unfreeze(ctx, s.Name); err == nil {
			err = call(ctx, s, v)
		}
		if err == nil {
			err = s.Host.During(ctx, s.Name, "deploy", func() error { return s.bringUp(ctx, v, &receipt) })
		}
	}
	if err != nil {
		receipt.Outcome, receipt.Error = s.Run.outcomeOf(ctx, err)
	}
	entry := journal.Entry{Kind: "deploy", Stack: s.Name, Commit: s.Run.Spec.Commit, Text: receipt.Outcome, Error: here.ErrorText(err)}
	s.Host.Enter(entry)
	return receipt
}

// call notes which Compose project the stack is, before anything of it is looked for.
func call(ctx context.Context, s *Start, v record.Verdict) error {
	if !v.MayStart || s.Kept || s.Stopped {
		return nil
	}
	err := stack.Named(s.Host.Stacks, s.Name).Call(ctx, s.Project)
	if here.NoEngine(err) {
		return nil // nothing of it can be here
	}
	return err
}

// outcomeOf says what became of a stack that did not come up, and why. Why the host
// could not be prepared comes before the cancellation that followed from it, and a
// run that was interrupted before what its programs say as they are ended.
func (r *Run) outcomeOf(ctx context.Context, err error) (outcome string, shown *agentapi.Error) {
	broken := r.Failure(needHost)
	switch {
	case ctx.Err() != nil && broken == nil:
		return "interrupted", &agentapi.Error{Code: fault.Interrupted, Text: "interrupted"}
	case ctx.Err() != nil:
		err = broken
	}
	shown = &agentapi.Error{Code: fault.General, Text: err.Error(), Hint: fault.Hint(err)}
	var failed *stack.FailedError
	if errors.As(err, &failed) {
		for _, line := range failed.Logs {
			shown.Text += "\n  | " + line
		}
	}
	return "failed", shown
}

// lean waits for what the host has from elsewhere and the stack relies on: mounts, and the tailnet.
func lean(ctx context.Context, s *Start) error {
	if len(s.Spec.Mounts) > 0 {
		if err := s.Run.Need(ctx, needMounts); err != nil {
			return err
		}
	}
	if s.Project.UsesTailnet() {
		if err := s.Run.Need(ctx, needTailnet); err != nil {
			return err
		}
	}
	return s.CheckPresent(ctx)
}

func (s *Start) bringUp(ctx context.Context, v record.Verdict, receipt *agentapi.StackReceipt) error {
	if !v.MayStart {
		return notStartedHere(s.Stack.Stack, v)
	}
	if s.Kept {
		receipt.Outcome = "kept"
		return nil
	}
	if s.Stopped {
		receipt.Outcome = "stopped"
		return keepStopped(ctx, s)
	}
	hold.At(ctx, "claimed")
	if err := lean(ctx, s); err != nil {
		return err
	}
	opened, err := s.Open()
	if err != nil {
		return err
	}
	s = s.Run.On(opened)
	if err := s.mountShared(ctx); err != nil {
		return err
	}
	wish := s.Wish()
	d := s.Deployment()
	again, err := recreates(ctx, s)
	if err != nil {
		return err
	}
	if s.Consent == project.ConsentAdopt && !again {
		return adopt(ctx, s, d, receipt)
	}
	if err := finishAttempt(ctx, s, d); err != nil {
		return err
	}
	switch {
	case again:
		err = prepareDraft(ctx, s, &d, receipt)
	case wish == nil:
		err = s.PrepareVolumes(ctx, &d, receipt)
	case wish.State == agentapi.WishPending:
		err = fulfilRequest(ctx, s, func() error { return RestoreRequested(ctx, s, &d, receipt) })
	case wish.State == agentapi.WishFailed:
		if changed, err := s.imageChanges(ctx, d); err != nil || changed != "" {
			return errors.Join(err, s.leaveAsDeployed(ctx, changed+", and its data could not be restored: left as it was", receipt))
		}
		err = s.PrepareVolumes(ctx, &d, receipt)
	default:
		s.Host.NoteDone(s.Name, wish.ID)
		receipt.Wish = wish.ID
		err = s.PrepareVolumes(ctx, &d, receipt)
	}
	if err == nil {
		err = s.start(ctx, d, receipt)
	}
	if err == nil {
		snapshotAfterRestore(ctx, s)
	}
	return err
}

// mountShared mounts the stack's shared volumes, once the host has what mounts them.
func (s *Start) mountShared(ctx context.Context) error {
	if s.Shared == nil {
		return nil
	}
	if err := s.Run.Need(ctx, needEngine); err != nil {
		return err
	}
	return s.Mount(ctx)
}

// PrepareVolumes has every volume ready for the start: as it is, empty or restored. What is
// in the way is an error, and nothing was stopped or moved then. Replaced data stays next to
// its volume. It may be called again after an interruption; the caller holds the stack's lock.
func (s *Start) PrepareVolumes(ctx context.Context, d *stack.Deployment, receipt *agentapi.StackReceipt) error {
	decided, err := keeper.ArchiveOf(s.Stack).Decisions(ctx)
	if err == nil {
		err = refusal(s.Stack.Stack, decided)
	}
	if err == nil {
		err = s.refuseForeign(ctx, decided)
	}
	if err == nil {
		err = s.awaitNeeded(ctx)
	}
	if err == nil {
		err = s.stopBeforeReplacing(ctx, s.volumesReplaced(decided))
	}
	if err == nil {
		err = s.markVolumes(decided)
	}
	if err == nil {
		err = snapshotBeforeUpgrade(ctx, s, d)
	}
	if err == nil {
		err = s.restoreVolumes(ctx, decided, d, receipt)
	}
	return err
}

// volumesReplaced returns the volumes in whose place other data comes.
func (s *Start) volumesReplaced(decided map[string]snapshot.Decision) []snapshot.Volume {
	volumes := s.Hydrated(decided)
	for _, v := range s.Protected() {
		switch d := decided[v.Name]; {
		case d.Action == snapshot.StartEmpty && s.Consent == project.ConsentFresh:
			volumes = append(volumes, v)
		case d.Action == snapshot.Rename:
			former := s.Host.Snapshots.Marker(s.Name, v.Formerly)
			volumes = append(volumes, v, snapshot.Volume{Name: v.Formerly, Path: former.Path})
		}
	}
	return volumes
}

// keepStopped keeps a stack that is declared stopped from running, and unmounts its shared
// volumes.
func keepStopped(ctx context.Context, s *Start) error {
	err := s.stopContainers(ctx)
	if err == nil {
		err = here.SharedMountsOf(s.Host, s.Name).Flush(ctx, s.Run.sink)
	}
	if err != nil {
		return err
	}
	return here.SharedMountsOf(s.Host, s.Name).End(ctx)
}

// stopContainers stops what runs of a stack that is started again soon: its shared volumes
// stay mounted.
func (s *Start) stopContainers(ctx context.Context) error {
	if err := s.Run.Need(ctx, needEngine); err != nil {
		return err
	}
	return errors.Join(s.Host.Stacks.CloseGate(ctx, s.Name), s.Host.Stacks.Stop(ctx, s.Name))
}

// awaitNeeded waits for the stacks that this one names. To the daemon, which starts what
// was asked for before, one that went back to its version before will do.
func (s *Start) awaitNeeded(ctx context.Context) error {
	for _, name := range s.Needs {
		if !slices.Contains(s.Run.order(), name) {
			continue
		}
		err := s.Run.Need(ctx, NeedStack(name))
		failed := errors.Is(err, errUnmet)
		if err != nil && !failed {
			return err
		}
		if failed && (!s.Run.unasked || !s.Host.RunsWhole(ctx, name)) {
			return fault.WithHint(fmt.Errorf("stack %s needs %s, which did not start", s.Name, name), "salvor logs "+name)
		}
	}
	return nil
}
