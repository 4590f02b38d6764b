package startup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/delivery"
	"salvor/internal/fault"
	"salvor/internal/hold"
	"salvor/internal/journal"
	"salvor/internal/project"
	"salvor/internal/record"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
)

// Deploy brings one stack up, or says in its receipt why not.
func (s *Start) Deploy(ctx context.Context, v record.Verdict) agentapi.StackReceipt {
	receipt := agentapi.StackReceipt{Name: s.Name, Epoch: s.Epoch}
	lock, err := s.lockForRun(ctx, "deploy")
	if err == nil {
		defer lock.Release()
		if err = s.Unfreeze(ctx, s.Name); err == nil {
			err = s.During(ctx, s.Name, "deploy", func() error { return s.bringUp(ctx, v, &receipt) })
		}
	}
	if err != nil {
		receipt.Outcome, receipt.Error = s.outcomeOf(ctx, err)
	}
	entry := journal.Entry{Kind: "deploy", Stack: s.Name, Commit: s.Run.Spec.Commit, Text: receipt.Outcome, Error: here.ErrorText(err)}
	s.Enter(entry)
	return receipt
}

// outcomeOf says what became of a stack that did not come up, and why. Why the host
// could not be prepared comes before the cancellation that followed from it, and a
// run that was interrupted before what its programs say as they are ended.
func (r *Run) outcomeOf(ctx context.Context, err error) (outcome string, told *agentapi.Error) {
	broken := r.Failure(needHost)
	switch {
	case ctx.Err() != nil && broken == nil:
		return "interrupted", &agentapi.Error{Code: fault.Interrupted, Text: "interrupted"}
	case ctx.Err() != nil:
		err = broken
	}
	told = &agentapi.Error{Code: fault.General, Text: err.Error(), Hint: fault.Hint(err)}
	var failed *stack.FailedError
	if errors.As(err, &failed) {
		for _, line := range failed.Logs {
			told.Text += "\n  | " + line
		}
	}
	return "failed", told
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
		return s.stop(ctx)
	}
	hold.At(ctx, "claimed")
	if err := s.Externals(); err != nil {
		return err
	}
	opened, err := s.Open()
	if err != nil {
		return err
	}
	s = s.On(opened)
	wish := s.Wish()
	d := s.Deployment()
	if err := s.upgrade().finishAttempt(ctx, d); err != nil {
		return err
	}
	switch {
	case wish == nil:
		err = s.PrepareVolumes(ctx, &d, receipt)
	case wish.State == agentapi.WishPending:
		err = s.Request().fulfilRequest(ctx, func() error { return s.Request().RestoreRequested(ctx, &d, receipt) })
	case wish.State == agentapi.WishFailed:
		if changed, err := s.imageChanges(ctx, d); err != nil || changed != "" {
			return errors.Join(err, s.leaveAsDeployed(ctx, changed+", and the data that goes with it could not be brought back: left as it was", receipt))
		}
		err = s.PrepareVolumes(ctx, &d, receipt)
	default:
		s.NoteDone(s.Name, wish.ID)
		receipt.Wish = wish.ID
		err = s.PrepareVolumes(ctx, &d, receipt)
	}
	if err == nil {
		err = s.start(ctx, d, receipt)
	}
	if err == nil {
		s.Request().snapshotAfterRestore(ctx)
	}
	return err
}

// PrepareVolumes has every volume ready for the start: as it is, empty or restored.
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
		err = s.upgrade().snapshotBeforeUpgrade(ctx, d)
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
			former := s.Snapshots.Marker(s.Name, v.Formerly)
			volumes = append(volumes, v, snapshot.Volume{Name: v.Formerly, Path: former.Path})
		}
	}
	return volumes
}

// placeData puts fetched data into the places of volumes that nothing uses.
func (s *Start) placeData(ctx context.Context, fetched *snapshot.Fetched, volumes []snapshot.Volume) error {
	return s.phase("place data", s.Name, func() error {
		if err := s.stopBeforeReplacing(ctx, volumes); err != nil {
			return err
		}
		return s.Snapshots.Place(ctx, fetched)
	})
}

// stop keeps a stack that is declared stopped from running.
func (s *Start) stop(ctx context.Context) error {
	if err := s.Need(ctx, needEngine); err != nil {
		return err
	}
	return errors.Join(s.Stacks.CloseGate(ctx, s.Name), s.Stacks.Stop(ctx, s.Name))
}

// awaitNeeded waits for the stacks that this one names. To the daemon, which starts what
// was asked for before, one that went back to its version before will do.
func (s *Start) awaitNeeded(ctx context.Context) error {
	for _, name := range s.Needs {
		if !slices.Contains(s.order(), name) {
			continue
		}
		err := s.Need(ctx, NeedStack(name))
		failed := errors.Is(err, errUnmet)
		if err != nil && !failed {
			return err
		}
		if failed && (!s.unasked || !s.RunsWhole(ctx, name)) {
			return fault.WithHint(fmt.Errorf("stack %s needs %s, which did not come up", s.Name, name), "salvor logs "+name)
		}
	}
	return nil
}

// restoreVolumes has the volumes' data in place: it comes down while Docker is installed
// and images are pulled.
func (s *Start) restoreVolumes(ctx context.Context, decided map[string]snapshot.Decision, d *stack.Deployment, receipt *agentapi.StackReceipt) error {
	volumes := s.Hydrated(decided)
	if len(volumes) == 0 {
		return s.deliverSecrets(ctx)
	}
	database := &keeper.Isolated{Host: s.Stack.Host, Stack: s.Stack.Stack, Images: s.Images, Sink: s.sink}
	var fetched *snapshot.Fetched
	both, within := errgroup.WithContext(ctx)
	both.Go(func() error {
		var err error
		fetched, err = s.FetchNewest(within, volumes, database)
		return err
	})
	both.Go(func() error { return s.createContainers(within, *d) })
	if err := both.Wait(); err != nil {
		return err
	}
	hold.At(ctx, "fetched")
	d.Images = pinned(d.Images, fetched.Meta.Images)
	database.Images = d.Images
	if err := s.placeData(ctx, fetched, volumes); err != nil {
		return err
	}
	receipt.Restored = restored(fetched)
	return nil
}

func (s *Start) restoreJob(repo *here.Repository, id string, volumes []snapshot.Volume, database snapshot.Database) snapshot.RestoreJob {
	return snapshot.RestoreJob{
		Fleet: s.Run.Spec.Fleet, Stack: s.Name, Epoch: s.Epoch, Repository: repo.Repository, Origin: here.Origin(s.Stack.Stack), Snapshot: id, Volumes: volumes, Database: database,
		Room:  s.room,
		Holds: func(ctx context.Context) error { return s.Guard.NotLost(ctx, s.Stack) },
	}
}

// pinned is what the snapshot ran with, which is what its data fits.
func pinned(lock, then map[string]string) map[string]string {
	images := maps.Clone(lock)
	if images == nil {
		images = map[string]string{}
	}
	maps.Copy(images, then)
	return images
}

func restored(f *snapshot.Fetched) *agentapi.SnapshotInfo {
	info := keeper.InfoOf(f.Info, f.Meta)
	return &info
}

func (s *Start) download(ctx context.Context, job snapshot.RestoreJob) (*snapshot.Fetched, error) {
	if err := s.Need(ctx, needData); err != nil {
		return nil, err
	}
	if err := s.downloads.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer s.downloads.Release(1)
	engine := s.Snapshots
	engine.Progress = s.sink
	var fetched *snapshot.Fetched
	err := s.phase("restore data", s.Name, func() error {
		var err error
		fetched, err = engine.Fetch(ctx, job)
		return err
	})
	return fetched, err
}

// Much data keeps a small host's processors and disk busy: beside two gigabytes
// Docker takes 24 s to install instead of 14, and nothing can start before. On a
// slow line, or with a slow mirror, both are to overlap; hence the limit.
const (
	muchData  = 256 << 20 // bytes
	holdLimit = 15 * time.Second
)

// holdForEngine has much data wait until Docker is there, at most for holdLimit.
func (r *Run) holdForEngine(ctx context.Context, bytes int64) error {
	if bytes < muchData {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, holdLimit)
	defer cancel()
	_ = r.Need(limited, needEngine) // too late is as good
	return ctx.Err()
}

// deliverSecrets is for a stack that restores nothing.
func (s *Start) deliverSecrets(ctx context.Context) error {
	if err := s.Need(ctx, needEngine); err != nil {
		return err
	}
	return s.writeSecrets()
}

// createContainers makes volumes and containers, not started, and pulls what they need.
func (s *Start) createContainers(ctx context.Context, d stack.Deployment) error {
	if err := s.deliverSecrets(ctx); err != nil {
		return err
	}
	done, err := s.turns.take(ctx, false)
	if err != nil {
		return err
	}
	defer done()
	return s.phase("pull images", s.Name, func() error { return s.Stacks.Create(ctx, d, s.sink) })
}

// start opens the gate and deploys. The epoch is remembered before anything
// runs, so that a host which dies now knows at its boot what it ran.
func (s *Start) start(ctx context.Context, d stack.Deployment, receipt *agentapi.StackReceipt) error {
	hold.At(ctx, "start")
	before := s.Local(s.Name)
	if before.Epoch < s.Epoch {
		if err := s.awaitFormerHost(ctx); err != nil {
			return err
		}
	}
	if err := s.checkStillOwned(ctx); err != nil {
		return err
	}
	local := here.Local{Epoch: s.Epoch, Sealed: here.SealedDigest(s.Stack.Stack)}
	s.noteStarted(s.Name, local)
	if err := s.Stacks.OpenGate(ctx, s.Name); err != nil {
		return err
	}
	untold, err := delivery.Untold(s.Paths.Secrets(), s.Name)
	if err != nil {
		return err
	}
	d.Reread, d.Leave = untold.Env, receipt.Restored != nil || s.Attempt(s.Name).State == here.AttemptTrying
	done, err := s.turns.take(ctx, receipt.Restored != nil)
	if err != nil {
		return err
	}
	defer done()
	var result stack.Result
	told := false
	err = s.phase("start", s.Name, func() error {
		var err error
		if result, err = s.Stacks.Deploy(ctx, d, s.sink); err == nil {
			told, err = s.notifyServices(ctx, untold, result)
		}
		return err
	})
	if err != nil {
		return s.upgrade().afterFailure(ctx, d, err)
	}
	if err := os.Remove(s.AttemptPath(s.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Trouble("attempts", err)
	}
	receipt.Healthy, receipt.Images = time.Now().UTC(), result.Images
	receipt.Outcome = outcome(result, receipt, told)
	if !result.Untouched {
		s.probe(ctx)
	}
	born := s.Births()
	receipt.Born = born
	s.reportFacts(ctx, result, born, receipt.Wish)
	return nil
}

func outcome(result stack.Result, receipt *agentapi.StackReceipt, told bool) string {
	switch {
	case receipt.Restored != nil:
		return "restored"
	case result.Untouched && told:
		return "reloaded"
	case result.Untouched:
		return "untouched"
	}
	return "deployed"
}

// reportFacts writes down on the record remote what the host learned, for the case
// that the operator never hears of it. With the remote away the receipt has it.
func (s *Start) reportFacts(ctx context.Context, result stack.Result, born map[string]time.Time, wish string) {
	if len(born) == 0 && wish == "" && maps.Equal(result.Images, s.Images) {
		return
	}
	rec, err := s.Access.Record(ctx, s.Run.Spec.Record)
	if err == nil {
		_, err = rec.AppendFact(ctx, s.Name, factOf(s.Stack, result.Images, born, wish))
		err = errors.Join(err, rec.Close(ctx))
	}
	if err != nil {
		s.Enter(journal.Entry{Kind: "facts", Stack: s.Name, Error: err.Error()})
	}
}
