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
	"salvor/internal/hold"
	"salvor/internal/progress"
	"salvor/internal/stack"
)

// target distinguishes the versions that a stack may be asked to run.
func target(st agentapi.Stack) string { return fmt.Sprint(st.Project.Hash, " ", st.Images) }

// snapshotBeforeUpgrade readies a stack with data for another image: a snapshot while it runs,
// the images, a stop, and a small last snapshot of everything that the version
// before has acknowledged. When that can't be, the version before runs on.
func snapshotBeforeUpgrade(ctx context.Context, s *Start, d *stack.Deployment) error {
	if len(s.Protected()) == 0 || s.Attempt().InProgress() {
		return nil
	}
	seen, err := s.Host.Stacks.Observe(ctx, s.Name)
	if here.NoEngine(err) {
		return nil
	}
	if err != nil {
		return err
	}
	changed := ImageChange(seen[0].Record, *d)
	if changed == "" || s.AllReady() != nil {
		return nil
	}
	if seen[0].Running() {
		progress.Scope{Sink: s.Run.sink, Stack: s.Name}.Note(changed + ": taking a snapshot first")
		if _, err := s.Run.TakeLocked(ctx, s.Stack, keeper.Taking{Sink: s.Run.sink}); err != nil {
			return fmt.Errorf("%s, and the snapshot before it failed: %w", changed, err)
		}
	}
	hold.At(ctx, "upgrade-taken")
	if err := s.deliverSecrets(ctx); err != nil {
		return err
	}
	u := here.Attempt{State: here.AttemptTrying, Commit: s.Run.Spec.Commit, Target: target(s.Stack.Stack)}
	if u.Built, err = s.Host.Stacks.Built(ctx, s.Name); err != nil {
		return err
	}
	if err := s.Run.phase("pull images", s.Name, func() error {
		var err error
		d.Images, err = s.Host.Stacks.Fetch(ctx, *d, s.Run.sink)
		return err
	}); err != nil {
		return err
	}
	u.Images = d.Images
	if err := stopVersionBefore(ctx, s, &u); err != nil {
		return errors.Join(fmt.Errorf("%s, and the last snapshot before it failed: %w", changed, err), startVersionBefore(context.WithoutCancel(ctx), s))
	}
	hold.At(ctx, "upgrade-stopped")
	return nil
}

// startVersionBefore has the version before run on, unless the stack was released before
// this run had its lock: then another host may have it by now.
func startVersionBefore(ctx context.Context, s *Start) error {
	if err := s.checkStillOwned(ctx); err != nil {
		return err
	}
	return errors.Join(s.Host.Stacks.OpenGate(ctx, s.Name), s.Host.ByHand(s.Name).StartOthers(ctx, s.Run.sink))
}

// stopVersionBefore stops the version before and takes its last snapshot.
func stopVersionBefore(ctx context.Context, s *Start, u *here.Attempt) error {
	end := progress.Scope{Sink: s.Run.sink, Stack: s.Name}.Step("stop", "")
	err := s.stopContainers(ctx)
	end(err, "")
	if err != nil {
		return err
	}
	hold.At(ctx, "upgrade-halted")
	last, err := s.Run.TakeLocked(ctx, s.Stack, keeper.Taking{Stopped: true, Sink: s.Run.sink})
	if err != nil {
		return err
	}
	u.Before = last.Snapshot.ID
	return s.SaveAttempt(*u)
}

// finishAttempt finishes what an earlier run has begun: a way back, and, where something
// else is to be deployed by now, an attempt whose end was not seen.
func finishAttempt(ctx context.Context, s *Start, d stack.Deployment) error {
	u := s.Attempt()
	if !u.InProgress() || u.State == here.AttemptTrying && u.Target == target(s.Stack.Stack) {
		return nil
	}
	if u.State == here.AttemptTrying {
		u.Why = "it was interrupted"
	}
	err := returnToVersionBefore(ctx, s, d, u)
	if err == nil && u.Target == target(s.Stack.Stack) {
		err = fmt.Errorf("deploy %s: %s", s.Name, u.Why)
	}
	return err
}

// afterFailure turns a deploy that failed into what it left behind: for one whose data
// was at stake that is the version before on its own data.
func afterFailure(ctx context.Context, s *Start, d stack.Deployment, failed error) error {
	u := s.Attempt()
	if ctx.Err() != nil {
		return failed
	}
	if u.State != here.AttemptTrying {
		u = here.Attempt{State: here.AttemptFailed, Commit: s.Run.Spec.Commit, Target: target(s.Stack.Stack), Why: failed.Error()}
		if err := s.SaveAttempt(u); err != nil {
			s.Host.Trouble("attempts", err)
		}
		return failed
	}
	u.Why = failed.Error()
	if err := returnToVersionBefore(ctx, s, d, u); err != nil {
		return errors.Join(failed, fmt.Errorf("the return to the previous version is not finished, salvord continues it: %w", err))
	}
	u = s.Attempt()
	return errors.Join(failed, errors.New(u.WentBack()))
}

// returnToVersionBefore has the version before run again on the data that it left. Interrupted
// at any point, it is called again.
func returnToVersionBefore(ctx context.Context, s *Start, d stack.Deployment, u here.Attempt) error {
	u.State = here.AttemptBack
	if err := s.SaveAttempt(u); err != nil {
		return err
	}
	hold.At(ctx, "upgrade-failed")
	if err := s.stopContainers(ctx); err != nil {
		return err
	}
	if !dataAsBefore(s, u) {
		snapshotNewVersion(ctx, s, &u)
		hold.At(ctx, "upgrade-after")
		if err := restoreVersionBefore(ctx, s, u); err != nil {
			return err
		}
	}
	hold.At(ctx, "upgrade-back")
	if err := s.awaitOwned(ctx); err != nil {
		return err
	}
	if err := s.writeSecrets(ctx); err != nil {
		return err
	}
	if err := s.Host.Stacks.OpenGate(ctx, s.Name); err != nil {
		return err
	}
	if err := s.Host.Stacks.RestorePrevious(ctx, d, u.Built, s.Run.sink); err != nil {
		return err
	}
	u.State = here.AttemptFailed
	return s.SaveAttempt(u)
}

// dataAsBefore reports whether the data is what the version before left: the new one
// never touched it, or it is back already.
func dataAsBefore(s *Start, u here.Attempt) bool {
	if s.AllReady() != nil {
		return false
	}
	if s.InPlace(u.Wish()) {
		return true
	}
	for _, v := range s.Protected() {
		if s.Host.Snapshots.Holding(s.Name, v) != u.Before {
			return false
		}
	}
	return true
}

// snapshotNewVersion takes what the new version wrote as a snapshot that is not on the
// stack's line. If that is not possible it is kept next to the volume, as all replaced
// data.
func snapshotNewVersion(ctx context.Context, s *Start, u *here.Attempt) {
	if u.After != "" || s.AllReady() != nil {
		return
	}
	taken, err := s.Run.TakeLocked(ctx, s.Stack, keeper.Taking{Stopped: true, Force: true, Accept: true, Keep: true, Diverged: true, Images: u.Images, Sink: s.Run.sink})
	if err == nil {
		u.After = taken.Snapshot.ID
		err = s.SaveAttempt(*u)
	}
	if err != nil {
		s.Run.Warn(s.Name, finding.Finding{
			Code: finding.SnapshotFailed, Severity: finding.Warning, Subject: s.Run.Spec.Name + "/" + s.Name,
			Text: fmt.Sprintf("the data written by the new version is not in any snapshot (%v); it is kept next to the volumes", err), Fix: "look " +
				"for *.salvor-old-* next to the volumes",
		})
	}
}

// restoreVersionBefore puts the last snapshot of the version before in place.
func restoreVersionBefore(ctx context.Context, s *Start, u here.Attempt) error {
	from, err := keeper.Holding(s.Name, s.Targets, u.Before, keeper.ArchiveOf(s.Stack).Lister(ctx))
	if err != nil {
		return err
	}
	repo, err := keeper.ArchiveOf(s.Stack).Repository(ctx, from)
	if err != nil {
		return err
	}
	defer repo.Close(ctx) // only read from
	job := s.restoreJob(repo, u.Before, s.Protected(), s.isolated())
	job.Wish = u.Wish()
	fetched, err := s.download(ctx, job)
	if err != nil {
		return err
	}
	return s.placeData(ctx, fetched, s.Protected())
}

// AttemptFindings says that something else runs than what the host was asked for, and
// why.
func AttemptFindings(s *here.Stack, seen stack.State) []finding.Finding {
	u, run := s.Attempt(), s.Host.RunNote(s.Name)
	if s.Stopped || s.Kept || seen.Untouched(s.Deployment()) {
		return nil
	}
	f := finding.Finding{
		Code: finding.NotAsCommitted, Severity: finding.Warning, Subject: s.Spec.Name + "/" + s.Name,
		Text: fmt.Sprintf("commit %.7s did not start: %s; commit %.7s runs", u.Commit, u.Why, seen.Record.Commit),
		Fix:  "salvor rollback " + s.Name + ", or correct it and run salvor apply",
	}
	pending := s.Host.PendingCommit(s.Name, seen)
	switch {
	case !u.InProgress() && run.What != "":
		f.Text = fmt.Sprintf("a %s has been running since %s, or it was interrupted and salvord will continue it", run.What, run.At.Format(time.DateTime))
		f.Fix = "nothing to do; salvor apply continues it at once"
	case u.State == "" && pending == "":
		return nil
	case u.State == "":
		f.Text = fmt.Sprintf("commit %.7s was not deployed; commit %.7s runs", pending, seen.Record.Commit)
		f.Fix = "salvor apply"
	case u.State == here.AttemptTrying:
		f.Text = fmt.Sprintf("commit %.7s is being deployed, or its deploy was interrupted", u.Commit)
		f.Fix = "salvor apply continues it"
	case u.State == here.AttemptBack:
		f.Text = fmt.Sprintf("commit %.7s did not start: %s; the return to the previous version is not finished, salvord continues it", u.Commit, u.Why)
		f.Fix = "bring the snapshot remote back; salvor apply continues at once"
	case u.Before != "":
		f.Text = fmt.Sprintf("commit %.7s did not start: %s; %s", u.Commit, u.Why, u.WentBack())
	case !seen.Deployed:
		f.Text = fmt.Sprintf("commit %.7s did not start: %s", u.Commit, u.Why)
		f.Fix = "salvor logs " + s.Name + ", then correct it and run salvor apply"
	}
	return []finding.Finding{f}
}
