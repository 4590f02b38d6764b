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
func (r *run) stack(ctx context.Context, st agentapi.Stack, v record.Verdict) agentapi.StackReceipt {
	receipt := agentapi.StackReceipt{Name: st.Name, Epoch: st.Epoch}
	lock, err := r.alone(ctx, st, "deploy")
	if err == nil {
		defer lock.Release()
		if err = r.unfreeze(ctx, st.Name); err == nil {
			err = r.during(ctx, st.Name, "deploy", func() error { return r.bring(ctx, st, v, &receipt) })
		}
	}
	if err != nil {
		receipt.Outcome, receipt.Error = r.explain(ctx, err)
	}
	entry := journal.Entry{Kind: "deploy", Stack: st.Name, Commit: r.spec.Commit, Text: receipt.Outcome, Error: text(err)}
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

func (r *run) bring(ctx context.Context, st agentapi.Stack, v record.Verdict, receipt *agentapi.StackReceipt) error {
	if !v.MayStart {
		return notHere(st, v)
	}
	if st.Kept {
		receipt.Outcome = "kept"
		return nil
	}
	if st.Stopped {
		receipt.Outcome = "stopped"
		return r.halt(ctx, st)
	}
	hold.At(ctx, "claimed")
	if err := r.externals(st); err != nil {
		return err
	}
	a, err := r.open(r.spec.Name, st)
	if err != nil {
		return err
	}
	wish := r.standing(r.spec, st)
	d := deployment(r.spec, st, a)
	if err := r.goOn(ctx, st, a, d); err != nil {
		return err
	}
	switch {
	case wish == nil:
		err = r.supply(ctx, st, a, &d, receipt)
	case wish.State == agentapi.WishPending:
		err = r.fulfil(ctx, st, func() error { return r.putBack(ctx, st, a, &d, receipt) })
	case wish.State == agentapi.WishFailed:
		if changed, err := r.imageChanges(ctx, st, d); err != nil || changed != "" {
			return errors.Join(err, r.leave(ctx, st, changed+", and its data could not be restored: left as it was", receipt))
		}
		err = r.supply(ctx, st, a, &d, receipt)
	default:
		r.noteDone(st.Name, wish.ID)
		receipt.Wish = wish.ID
		err = r.supply(ctx, st, a, &d, receipt)
	}
	if err == nil {
		err = r.start(ctx, st, a, d, receipt)
	}
	if err == nil {
		r.secure(ctx, st)
	}
	return err
}

// supply has every volume ready for the start: as it is, empty or restored.
func (r *run) supply(ctx context.Context, st agentapi.Stack, a *access, d *stack.Deployment, receipt *agentapi.StackReceipt) error {
	decided, err := r.decisions(ctx, r.spec, st, a)
	if err == nil {
		err = refusal(st, decided)
	}
	if err == nil {
		err = r.refuseForeign(ctx, st, decided)
	}
	if err == nil {
		err = r.needs(ctx, st)
	}
	if err == nil {
		err = r.vacate(ctx, st, r.replaced(st, decided))
	}
	if err == nil {
		err = r.settle(st, decided)
	}
	if err == nil {
		err = r.upgrade(ctx, st, a, d)
	}
	if err == nil {
		err = r.fill(ctx, st, a, decided, d, receipt)
	}
	return err
}

// replaced returns the volumes in whose place other data comes.
func (h *Host) replaced(st agentapi.Stack, decided map[string]snapshot.Decision) []snapshot.Volume {
	volumes := h.hydrated(st, decided)
	for _, v := range h.protected(st) {
		switch d := decided[v.Name]; {
		case d.Action == snapshot.StartEmpty && st.Consent == project.ConsentFresh:
			volumes = append(volumes, v)
		case d.Action == snapshot.Rename:
			former := h.Snapshots.Marker(st.Name, v.Formerly)
			volumes = append(volumes, v, snapshot.Volume{Name: v.Formerly, Path: former.Path})
		}
	}
	return volumes
}

// place puts fetched data into the places of volumes that nothing uses.
func (r *run) place(ctx context.Context, st agentapi.Stack, fetched *snapshot.Fetched, volumes []snapshot.Volume) error {
	return r.phase("place data", st.Name, func() error {
		if err := r.vacate(ctx, st, volumes); err != nil {
			return err
		}
		return r.Snapshots.Place(ctx, fetched)
	})
}

// halt keeps a stack that is declared stopped from running.
func (r *run) halt(ctx context.Context, st agentapi.Stack) error {
	if err := wait(ctx, r.engine); err != nil {
		return err
	}
	return errors.Join(r.Stacks.CloseGate(ctx, st.Name), r.Stacks.Stop(ctx, st.Name))
}

// needs waits for the stacks that this one names. To the daemon, which starts what
// was asked for before, one that went back to its version before will do.
func (r *run) needs(ctx context.Context, st agentapi.Stack) error {
	for _, name := range st.Needs {
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
			return fault.WithHint(fmt.Errorf("stack %s needs %s, which did not start", st.Name, name), "salvor logs "+name)
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
func (r *run) fill(ctx context.Context, st agentapi.Stack, a *access, decided map[string]snapshot.Decision, d *stack.Deployment, receipt *agentapi.StackReceipt) error {
	volumes := r.hydrated(st, decided)
	if len(volumes) == 0 {
		return r.ready(ctx, st, a)
	}
	database := &besideDatabase{host: r.Host, stack: st, images: st.Images, sink: r.sink}
	var fetched *snapshot.Fetched
	both, within := errgroup.WithContext(ctx)
	both.Go(func() error {
		var err error
		fetched, err = r.fetchNewest(within, st, a, volumes, database)
		return err
	})
	both.Go(func() error { return r.create(within, st, a, *d) })
	if err := both.Wait(); err != nil {
		return err
	}
	hold.At(ctx, "fetched")
	d.Images = pinned(d.Images, fetched.Meta.Images)
	database.images = d.Images
	if err := r.place(ctx, st, fetched, volumes); err != nil {
		return err
	}
	receipt.Restored = restored(fetched)
	return nil
}

func (r *run) restoreJob(st agentapi.Stack, repo *opened, id string, volumes []snapshot.Volume, database snapshot.Database) snapshot.RestoreJob {
	return snapshot.RestoreJob{
		Fleet: r.spec.Fleet, Stack: st.Name, Epoch: st.Epoch, Repository: repo.Repository, Origin: origin(st), Snapshot: id, Volumes: volumes, Database: database,
		Room:  r.room,
		Holds: func(ctx context.Context) error { return r.who.notLost(ctx, r.spec, st) },
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

func (r *run) download(ctx context.Context, st agentapi.Stack, job snapshot.RestoreJob) (*snapshot.Fetched, error) {
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
	err := r.phase("restore data", st.Name, func() error {
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
func (r *run) ready(ctx context.Context, st agentapi.Stack, a *access) error {
	if err := wait(ctx, r.engine); err != nil {
		return err
	}
	return r.deliver(st, a)
}

// create makes volumes and containers, not started, and pulls what they need.
func (r *run) create(ctx context.Context, st agentapi.Stack, a *access, d stack.Deployment) error {
	if err := r.ready(ctx, st, a); err != nil {
		return err
	}
	done, err := r.turns.take(ctx, false)
	if err != nil {
		return err
	}
	defer done()
	return r.phase("pull images", st.Name, func() error { return r.Stacks.Create(ctx, d, r.sink) })
}

// start opens the gate and deploys. The epoch is remembered before anything
// runs, so that a host which dies now knows at its boot what it ran.
func (r *run) start(ctx context.Context, st agentapi.Stack, a *access, d stack.Deployment, receipt *agentapi.StackReceipt) error {
	hold.At(ctx, "start")
	before := r.local(st.Name)
	if before.Epoch < st.Epoch {
		if err := r.waitOut(ctx, st); err != nil {
			return err
		}
	}
	if err := r.mayStart(ctx, st); err != nil {
		return err
	}
	local := Local{Epoch: st.Epoch, Sealed: sealedDigest(st)}
	r.saveNote(st.Name, local)
	if err := r.Stacks.OpenGate(ctx, st.Name); err != nil {
		return err
	}
	untold, err := delivery.Untold(r.Paths.secrets(), st.Name)
	if err != nil {
		return err
	}
	d.Reread, d.Leave = untold.Env, receipt.Restored != nil || r.attempt(st.Name).State == attemptTrying
	done, err := r.turns.take(ctx, receipt.Restored != nil)
	if err != nil {
		return err
	}
	defer done()
	var result stack.Result
	told := false
	err = r.phase("start", st.Name, func() error {
		var err error
		if result, err = r.Stacks.Deploy(ctx, d, r.sink); err == nil {
			told, err = r.announce(ctx, st, untold, result)
		}
		return err
	})
	if err != nil {
		return r.gaveUp(ctx, st, a, d, err)
	}
	if err := os.Remove(r.attemptPath(st.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		note(r.Host, "attempts", err)
	}
	receipt.Healthy, receipt.Images = time.Now().UTC(), result.Images
	receipt.Outcome = outcome(result, receipt, told)
	if !result.Untouched {
		r.probe(ctx, st)
	}
	born := r.births(st)
	receipt.Born = born
	r.tell(ctx, st, a, result, born, receipt.Wish)
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

// tell writes down on the record remote what the host learned, for the case
// that the operator never hears of it. With the remote away the receipt has it.
func (r *run) tell(ctx context.Context, st agentapi.Stack, a *access, result stack.Result, born map[string]time.Time, wish string) {
	if len(born) == 0 && wish == "" && maps.Equal(result.Images, st.Images) {
		return
	}
	rec, err := a.record(ctx, r.spec.Record)
	if err == nil {
		_, err = rec.AppendFact(ctx, st.Name, factOf(r.spec, st, result.Images, born, wish))
		err = errors.Join(err, rec.close(ctx))
	}
	if err != nil {
		r.record(journal.Entry{Kind: "facts", Stack: st.Name, Error: err.Error()})
	}
}
