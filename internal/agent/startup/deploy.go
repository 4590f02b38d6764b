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
func (r *Run) Deploy(ctx context.Context, s *here.Stack, v record.Verdict) agentapi.StackReceipt {
	receipt := agentapi.StackReceipt{Name: s.Name, Epoch: s.Epoch}
	lock, err := r.lockForRun(ctx, s, "deploy")
	if err == nil {
		defer lock.Release()
		if err = r.Unfreeze(ctx, s.Name); err == nil {
			err = r.During(ctx, s.Name, "deploy", func() error { return r.bringUp(ctx, s, v, &receipt) })
		}
	}
	if err != nil {
		receipt.Outcome, receipt.Error = r.outcomeOf(ctx, err)
	}
	entry := journal.Entry{Kind: "deploy", Stack: s.Name, Commit: r.Spec.Commit, Text: receipt.Outcome, Error: here.ErrorText(err)}
	r.Enter(entry)
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

func (r *Run) bringUp(ctx context.Context, s *here.Stack, v record.Verdict, receipt *agentapi.StackReceipt) error {
	if !v.MayStart {
		return notStartedHere(s.Stack, v)
	}
	if s.Kept {
		receipt.Outcome = "kept"
		return nil
	}
	if s.Stopped {
		receipt.Outcome = "stopped"
		return r.stop(ctx, s)
	}
	hold.At(ctx, "claimed")
	if err := s.Externals(); err != nil {
		return err
	}
	s, err := s.Open()
	if err != nil {
		return err
	}
	wish := s.Wish()
	d := s.Deployment()
	if err := r.finishAttempt(ctx, s, d); err != nil {
		return err
	}
	switch {
	case wish == nil:
		err = r.PrepareVolumes(ctx, s, &d, receipt)
	case wish.State == agentapi.WishPending:
		err = r.fulfilRequest(ctx, s, func() error { return r.RestoreRequested(ctx, s, &d, receipt) })
	case wish.State == agentapi.WishFailed:
		if changed, err := r.imageChanges(ctx, s, d); err != nil || changed != "" {
			return errors.Join(err, r.leaveAsDeployed(ctx, s, changed+", and the data that goes with it could not be brought back: left as it was", receipt))
		}
		err = r.PrepareVolumes(ctx, s, &d, receipt)
	default:
		r.NoteDone(s.Name, wish.ID)
		receipt.Wish = wish.ID
		err = r.PrepareVolumes(ctx, s, &d, receipt)
	}
	if err == nil {
		err = r.start(ctx, s, d, receipt)
	}
	if err == nil {
		r.snapshotAfterRestore(ctx, s)
	}
	return err
}

// PrepareVolumes has every volume ready for the start: as it is, empty or restored.
func (r *Run) PrepareVolumes(ctx context.Context, s *here.Stack, d *stack.Deployment, receipt *agentapi.StackReceipt) error {
	decided, err := keeper.ArchiveOf(s).Decisions(ctx)
	if err == nil {
		err = refusal(s.Stack, decided)
	}
	if err == nil {
		err = r.refuseForeign(ctx, s, decided)
	}
	if err == nil {
		err = r.awaitNeeded(ctx, s)
	}
	if err == nil {
		err = r.stopBeforeReplacing(ctx, s, r.volumesReplaced(s, decided))
	}
	if err == nil {
		err = r.markVolumes(s, decided)
	}
	if err == nil {
		err = r.snapshotBeforeUpgrade(ctx, s, d)
	}
	if err == nil {
		err = r.restoreVolumes(ctx, s, decided, d, receipt)
	}
	return err
}

// volumesReplaced returns the volumes in whose place other data comes.
func (r *Run) volumesReplaced(s *here.Stack, decided map[string]snapshot.Decision) []snapshot.Volume {
	volumes := s.Hydrated(decided)
	for _, v := range s.Protected() {
		switch d := decided[v.Name]; {
		case d.Action == snapshot.StartEmpty && s.Consent == project.ConsentFresh:
			volumes = append(volumes, v)
		case d.Action == snapshot.Rename:
			former := r.Snapshots.Marker(s.Name, v.Formerly)
			volumes = append(volumes, v, snapshot.Volume{Name: v.Formerly, Path: former.Path})
		}
	}
	return volumes
}

// placeData puts fetched data into the places of volumes that nothing uses.
func (r *Run) placeData(ctx context.Context, s *here.Stack, fetched *snapshot.Fetched, volumes []snapshot.Volume) error {
	return r.phase("place data", s.Name, func() error {
		if err := r.stopBeforeReplacing(ctx, s, volumes); err != nil {
			return err
		}
		return r.Snapshots.Place(ctx, fetched)
	})
}

// stop keeps a stack that is declared stopped from running.
func (r *Run) stop(ctx context.Context, s *here.Stack) error {
	if err := r.Need(ctx, needEngine); err != nil {
		return err
	}
	return errors.Join(r.Stacks.CloseGate(ctx, s.Name), r.Stacks.Stop(ctx, s.Name))
}

// awaitNeeded waits for the stacks that this one names. To the daemon, which starts what
// was asked for before, one that went back to its version before will do.
func (r *Run) awaitNeeded(ctx context.Context, s *here.Stack) error {
	for _, name := range s.Needs {
		if !slices.Contains(r.order(), name) {
			continue
		}
		err := r.Need(ctx, NeedStack(name))
		failed := errors.Is(err, errUnmet)
		if err != nil && !failed {
			return err
		}
		if failed && (!r.unasked || !r.RunsWhole(ctx, name)) {
			return fault.WithHint(fmt.Errorf("stack %s needs %s, which did not come up", s.Name, name), "salvor logs "+name)
		}
	}
	return nil
}

// restoreVolumes has the volumes' data in place: it comes down while Docker is installed
// and images are pulled.
func (r *Run) restoreVolumes(ctx context.Context, s *here.Stack, decided map[string]snapshot.Decision, d *stack.Deployment, receipt *agentapi.StackReceipt) error {
	volumes := s.Hydrated(decided)
	if len(volumes) == 0 {
		return r.deliverSecrets(ctx, s)
	}
	database := &keeper.Isolated{Host: r.Host, Stack: s.Stack, Images: s.Images, Sink: r.sink}
	var fetched *snapshot.Fetched
	both, within := errgroup.WithContext(ctx)
	both.Go(func() error {
		var err error
		fetched, err = r.FetchNewest(within, s, volumes, database)
		return err
	})
	both.Go(func() error { return r.createContainers(within, s, *d) })
	if err := both.Wait(); err != nil {
		return err
	}
	hold.At(ctx, "fetched")
	d.Images = pinned(d.Images, fetched.Meta.Images)
	database.Images = d.Images
	if err := r.placeData(ctx, s, fetched, volumes); err != nil {
		return err
	}
	receipt.Restored = restored(fetched)
	return nil
}

func (r *Run) restoreJob(s *here.Stack, repo *here.Repository, id string, volumes []snapshot.Volume, database snapshot.Database) snapshot.RestoreJob {
	return snapshot.RestoreJob{
		Fleet: r.Spec.Fleet, Stack: s.Name, Epoch: s.Epoch, Repository: repo.Repository, Origin: here.Origin(s.Stack), Snapshot: id, Volumes: volumes, Database: database,
		Room:  r.room,
		Holds: func(ctx context.Context) error { return r.Guard.NotLost(ctx, s) },
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

func (r *Run) download(ctx context.Context, s *here.Stack, job snapshot.RestoreJob) (*snapshot.Fetched, error) {
	if err := r.Need(ctx, needData); err != nil {
		return nil, err
	}
	if err := r.downloads.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer r.downloads.Release(1)
	engine := r.Snapshots
	engine.Progress = r.sink
	var fetched *snapshot.Fetched
	err := r.phase("restore data", s.Name, func() error {
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
func (r *Run) deliverSecrets(ctx context.Context, s *here.Stack) error {
	if err := r.Need(ctx, needEngine); err != nil {
		return err
	}
	return r.writeSecrets(s)
}

// createContainers makes volumes and containers, not started, and pulls what they need.
func (r *Run) createContainers(ctx context.Context, s *here.Stack, d stack.Deployment) error {
	if err := r.deliverSecrets(ctx, s); err != nil {
		return err
	}
	done, err := r.turns.take(ctx, false)
	if err != nil {
		return err
	}
	defer done()
	return r.phase("pull images", s.Name, func() error { return r.Stacks.Create(ctx, d, r.sink) })
}

// start opens the gate and deploys. The epoch is remembered before anything
// runs, so that a host which dies now knows at its boot what it ran.
func (r *Run) start(ctx context.Context, s *here.Stack, d stack.Deployment, receipt *agentapi.StackReceipt) error {
	hold.At(ctx, "start")
	before := r.Local(s.Name)
	if before.Epoch < s.Epoch {
		if err := r.awaitFormerHost(ctx, s); err != nil {
			return err
		}
	}
	if err := r.checkStillOwned(ctx, s); err != nil {
		return err
	}
	local := here.Local{Epoch: s.Epoch, Sealed: here.SealedDigest(s.Stack)}
	r.noteStarted(s.Name, local)
	if err := r.Stacks.OpenGate(ctx, s.Name); err != nil {
		return err
	}
	untold, err := delivery.Untold(r.Paths.Secrets(), s.Name)
	if err != nil {
		return err
	}
	d.Reread, d.Leave = untold.Env, receipt.Restored != nil || r.Attempt(s.Name).State == here.AttemptTrying
	done, err := r.turns.take(ctx, receipt.Restored != nil)
	if err != nil {
		return err
	}
	defer done()
	var result stack.Result
	told := false
	err = r.phase("start", s.Name, func() error {
		var err error
		if result, err = r.Stacks.Deploy(ctx, d, r.sink); err == nil {
			told, err = r.notifyServices(ctx, s, untold, result)
		}
		return err
	})
	if err != nil {
		return r.afterFailure(ctx, s, d, err)
	}
	if err := os.Remove(r.AttemptPath(s.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.Trouble("attempts", err)
	}
	receipt.Healthy, receipt.Images = time.Now().UTC(), result.Images
	receipt.Outcome = outcome(result, receipt, told)
	if !result.Untouched {
		r.probe(ctx, s)
	}
	born := s.Births()
	receipt.Born = born
	r.reportFacts(ctx, s, result, born, receipt.Wish)
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
func (r *Run) reportFacts(ctx context.Context, s *here.Stack, result stack.Result, born map[string]time.Time, wish string) {
	if len(born) == 0 && wish == "" && maps.Equal(result.Images, s.Images) {
		return
	}
	rec, err := s.Access.Record(ctx, r.Spec.Record)
	if err == nil {
		_, err = rec.AppendFact(ctx, s.Name, factOf(s, result.Images, born, wish))
		err = errors.Join(err, rec.Close(ctx))
	}
	if err != nil {
		r.Enter(journal.Entry{Kind: "facts", Stack: s.Name, Error: err.Error()})
	}
}
