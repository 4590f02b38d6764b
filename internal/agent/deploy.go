package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

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

// stack brings one stack up, or says in its receipt why not.
func (r *run) stack(ctx context.Context, s *Stack, v record.Verdict) agentapi.StackReceipt {
	receipt := agentapi.StackReceipt{Name: s.Name, Epoch: s.Epoch}
	lock, err := r.alone(ctx, s, "deploy")
	if err == nil {
		defer lock.Release()
		if err = r.unfreeze(ctx, s.Name); err == nil {
			err = r.during(ctx, s.Name, "deploy", func() error { return r.bring(ctx, s, v, &receipt) })
		}
	}
	if err != nil {
		receipt.Outcome, receipt.Error = r.explain(ctx, err)
	}
	entry := journal.Entry{Kind: "deploy", Stack: s.Name, Commit: r.spec.Commit, Text: receipt.Outcome, Error: text(err)}
	r.record(entry)
	return receipt
}

// explain says what became of a stack that did not come up, and why. Why the host
// could not be prepared comes before the cancellation that followed from it, and a
// run that was interrupted before what its programs say as they are ended.
func (r *run) explain(ctx context.Context, err error) (outcome string, told *agentapi.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case ctx.Err() != nil && r.broken == nil:
		return "interrupted", &agentapi.Error{Code: fault.Interrupted, Text: "interrupted"}
	case ctx.Err() != nil:
		err = r.broken
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

func (r *run) bring(ctx context.Context, s *Stack, v record.Verdict, receipt *agentapi.StackReceipt) error {
	if !v.MayStart {
		return notHere(s.Stack, v)
	}
	if s.Kept {
		receipt.Outcome = "kept"
		return nil
	}
	if s.Stopped {
		receipt.Outcome = "stopped"
		return r.halt(ctx, s)
	}
	hold.At(ctx, "claimed")
	if err := s.externals(); err != nil {
		return err
	}
	s, err := s.open()
	if err != nil {
		return err
	}
	wish := s.standing()
	d := deployment(r.spec, s.Stack, s.access)
	if err := r.goOn(ctx, s, d); err != nil {
		return err
	}
	switch {
	case wish == nil:
		err = r.supply(ctx, s, &d, receipt)
	case wish.State == agentapi.WishPending:
		err = r.fulfil(ctx, s, func() error { return r.putBack(ctx, s, &d, receipt) })
	case wish.State == agentapi.WishFailed:
		if changed, err := r.imageChanges(ctx, s, d); err != nil || changed != "" {
			return errors.Join(err, r.leave(ctx, s, changed+", and its data could not be restored: left as it was", receipt))
		}
		err = r.supply(ctx, s, &d, receipt)
	default:
		r.noteDone(s.Name, wish.ID)
		receipt.Wish = wish.ID
		err = r.supply(ctx, s, &d, receipt)
	}
	if err == nil {
		err = r.start(ctx, s, d, receipt)
	}
	if err == nil {
		r.secure(ctx, s)
	}
	return err
}

// supply has every volume ready for the start: as it is, empty or restored.
func (r *run) supply(ctx context.Context, s *Stack, d *stack.Deployment, receipt *agentapi.StackReceipt) error {
	decided, err := r.decisions(ctx, s)
	if err == nil {
		err = refusal(s.Stack, decided)
	}
	if err == nil {
		err = r.refuseForeign(ctx, s, decided)
	}
	if err == nil {
		err = r.needs(ctx, s)
	}
	if err == nil {
		err = r.vacate(ctx, s, r.replaced(s, decided))
	}
	if err == nil {
		err = r.settle(s, decided)
	}
	if err == nil {
		err = r.upgrade(ctx, s, d)
	}
	if err == nil {
		err = r.fill(ctx, s, decided, d, receipt)
	}
	return err
}

// replaced returns the volumes in whose place other data comes.
func (r *run) replaced(s *Stack, decided map[string]snapshot.Decision) []snapshot.Volume {
	volumes := s.hydrated(decided)
	for _, v := range s.protected() {
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

// place puts fetched data into the places of volumes that nothing uses.
func (r *run) place(ctx context.Context, s *Stack, fetched *snapshot.Fetched, volumes []snapshot.Volume) error {
	return r.phase("place data", s.Name, func() error {
		if err := r.vacate(ctx, s, volumes); err != nil {
			return err
		}
		return r.Snapshots.Place(ctx, fetched)
	})
}

// halt keeps a stack that is declared stopped from running.
func (r *run) halt(ctx context.Context, s *Stack) error {
	if err := wait(ctx, r.engine); err != nil {
		return err
	}
	return errors.Join(r.Stacks.CloseGate(ctx, s.Name), r.Stacks.Stop(ctx, s.Name))
}

// needs waits for the stacks that this one names. To the daemon, which starts what
// was asked for before, one that went back to its version before will do.
func (r *run) needs(ctx context.Context, s *Stack) error {
	for _, name := range s.Needs {
		settled, here := r.settled[name]
		if !here {
			continue
		}
		if err := wait(ctx, settled); err != nil {
			return err
		}
		r.mu.Lock()
		failed := r.failed[name]
		r.mu.Unlock()
		if failed && (!r.unasked || !r.whole(ctx, name)) {
			return fault.WithHint(fmt.Errorf("stack %s needs %s, which did not start", s.Name, name), "salvor logs "+name)
		}
	}
	return nil
}

func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fill has the volumes' data in place: it comes down while Docker is installed
// and images are pulled.
func (r *run) fill(ctx context.Context, s *Stack, decided map[string]snapshot.Decision, d *stack.Deployment, receipt *agentapi.StackReceipt) error {
	volumes := s.hydrated(decided)
	if len(volumes) == 0 {
		return r.ready(ctx, s)
	}
	database := &besideDatabase{host: r.base, stack: s.Stack, images: s.Images, sink: r.sink}
	var fetched *snapshot.Fetched
	both, within := errgroup.WithContext(ctx)
	both.Go(func() error {
		var err error
		fetched, err = r.fetchNewest(within, s, volumes, database)
		return err
	})
	both.Go(func() error { return r.create(within, s, *d) })
	if err := both.Wait(); err != nil {
		return err
	}
	hold.At(ctx, "fetched")
	d.Images = pinned(d.Images, fetched.Meta.Images)
	database.images = d.Images
	if err := r.place(ctx, s, fetched, volumes); err != nil {
		return err
	}
	receipt.Restored = restored(fetched)
	return nil
}

func (r *run) restoreJob(s *Stack, repo *opened, id string, volumes []snapshot.Volume, database snapshot.Database) snapshot.RestoreJob {
	return snapshot.RestoreJob{
		Fleet: r.spec.Fleet, Stack: s.Name, Epoch: s.Epoch, Repository: repo.Repository, Origin: origin(s.Stack), Snapshot: id, Volumes: volumes, Database: database,
		Room:  r.room,
		Holds: func(ctx context.Context) error { return r.who.NotLost(ctx, s) },
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
	info := infoOf(f.Info, f.Meta)
	return &info
}

func (r *run) download(ctx context.Context, s *Stack, job snapshot.RestoreJob) (*snapshot.Fetched, error) {
	if err := wait(ctx, r.restic); err != nil {
		return nil, err
	}
	if err := r.slots.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer r.slots.Release(1)
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

// Much data keeps a small host's processors and disk busy: next to two gigabytes
// Docker takes 24 s to install instead of 14, and nothing can start before. On a slow
// line, or with a slow mirror, both are to overlap; hence the limit.
const (
	muchData  = 256 << 20 // bytes
	holdLimit = 15 * time.Second
)

// hold has much data wait until Docker is there, at most for holdLimit.
func (r *run) hold(ctx context.Context, bytes int64) error {
	if bytes < muchData {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, holdLimit)
	defer cancel()
	_ = wait(limited, r.engine) // too late is as good
	return ctx.Err()
}

// ready is for a stack that restores nothing.
func (r *run) ready(ctx context.Context, s *Stack) error {
	if err := wait(ctx, r.engine); err != nil {
		return err
	}
	return r.deliver(s)
}

// create makes volumes and containers, not started, and pulls what they need.
func (r *run) create(ctx context.Context, s *Stack, d stack.Deployment) error {
	if err := r.ready(ctx, s); err != nil {
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
func (r *run) start(ctx context.Context, s *Stack, d stack.Deployment, receipt *agentapi.StackReceipt) error {
	hold.At(ctx, "start")
	before := r.local(s.Name)
	if before.Epoch < s.Epoch {
		if err := r.waitOut(ctx, s); err != nil {
			return err
		}
	}
	if err := r.mayStart(ctx, s); err != nil {
		return err
	}
	local := Local{Epoch: s.Epoch, Sealed: sealedDigest(s.Stack)}
	r.saveNote(s.Name, local)
	if err := r.Stacks.OpenGate(ctx, s.Name); err != nil {
		return err
	}
	untold, err := delivery.Untold(r.Paths.Secrets(), s.Name)
	if err != nil {
		return err
	}
	d.Reread, d.Leave = untold.Env, receipt.Restored != nil || r.attempt(s.Name).State == attemptTrying
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
			told, err = r.announce(ctx, s, untold, result)
		}
		return err
	})
	if err != nil {
		return r.gaveUp(ctx, s, d, err)
	}
	if err := os.Remove(r.attemptPath(s.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.trouble("attempts", err)
	}
	receipt.Healthy, receipt.Images = time.Now().UTC(), result.Images
	receipt.Outcome = outcome(result, receipt, told)
	if !result.Untouched {
		r.probe(ctx, s)
	}
	born := s.births()
	receipt.Born = born
	r.tell(ctx, s, result, born, receipt.Wish)
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

// tell writes the host's reports to the record remote, in case the operator never
// receives them. With the remote away the receipt has it.
func (r *run) tell(ctx context.Context, s *Stack, result stack.Result, born map[string]time.Time, wish string) {
	if len(born) == 0 && wish == "" && maps.Equal(result.Images, s.Images) {
		return
	}
	rec, err := s.access.record(ctx, r.spec.Record)
	if err == nil {
		_, err = rec.AppendFact(ctx, s.Name, factOf(r.spec, s.Stack, result.Images, born, wish))
		err = errors.Join(err, rec.close(ctx))
	}
	if err != nil {
		r.record(journal.Entry{Kind: "facts", Stack: s.Name, Error: err.Error()})
	}
}
