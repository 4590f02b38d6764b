package keeper

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/ownership"
	"salvor/internal/journal"
	"salvor/internal/record"
)

// Report writes down on the record remote what this host learned of a stack, for the case
// that the operator never hears of it. What can't be written now is written by ReportDue, or
// after the next snapshot. The caller holds the stack's lock.
func (k *Keeper) Report(ctx context.Context, s *here.Stack, images map[string]string, born map[string]time.Time, wish string) {
	k.noteUnreported(s, report{k, s}.write(ctx, learned{born: born, images: images, wish: wish}))
}

func (k *Keeper) noteUnreported(s *here.Stack, err error) {
	if err != nil {
		k.Enter(journal.Entry{Kind: "facts", Stack: s.Name, Error: err.Error()})
	}
}

// ReportDue reports what the record lacks of the stacks that run here, and makes no remote
// call where it lacks nothing. A stack without snapshots has no other time for it.
func (k *Keeper) ReportDue(ctx context.Context, watch *ownership.Guard) error {
	spec, err := k.ReadSpec()
	if err != nil {
		return err
	}
	var errs []error
	for _, st := range spec.Stacks {
		r := report{k, k.At(spec, st)}
		if k.RunsHere(r.stack) && r.missed(ctx).any() && watch.Recent(ctx, r.stack).MayChange {
			errs = append(errs, r.inTurn(ctx))
		}
	}
	return errors.Join(errs...)
}

// A report is what the record is to know of a stack from this host.
type report struct {
	keeper *Keeper
	stack  *here.Stack
}

// learned is what a host learns of a stack that runs there: births, without which a host that
// takes it over would find snapshots of a volume that was never born, and refuse to start; the
// images that run, and the wish that was done, without which the lock never learns of them.
type learned struct {
	born   map[string]time.Time
	images map[string]string
	wish   string
}

func (l learned) any() bool { return len(l.born) > 0 || len(l.images) > 0 || l.wish != "" }

// inTurn reports what was missed under the stack's lock.
func (r report) inTurn(ctx context.Context) error {
	lock, err := r.keeper.LockStack(ctx, r.stack.Name, here.Daemon, "report what runs here")
	if err != nil {
		return err
	}
	defer lock.Release()
	if !r.keeper.RunsHere(r.stack) {
		return nil
	}
	if r.stack, err = r.stack.Open(); err != nil {
		return err
	}
	return r.writeMissed(ctx)
}

// writeMissed writes what the record lacks, if anything.
func (r report) writeMissed(ctx context.Context) error {
	missed := r.missed(ctx)
	if r.stack.Spec.Record.Remote == "" || r.stack.IsOwn() || !missed.any() {
		return nil
	}
	return r.write(ctx, missed)
}

func (r report) write(ctx context.Context, l learned) error {
	s := r.stack
	rec, err := s.Access.Record(ctx, s.Spec.Record)
	if err != nil {
		return err
	}
	fact := record.Fact{Epoch: s.Epoch, Host: s.Spec.Name, Commit: s.Spec.Commit, At: time.Now().UTC(), Images: l.images, Born: l.born, Wish: l.wish}
	_, err = rec.AppendFact(ctx, s.Name, fact)
	if err = errors.Join(err, rec.Close(ctx)); err != nil {
		return err
	}
	local := r.keeper.Local(s.Name)
	if local.Epoch != s.Epoch {
		return nil
	}
	local.Reported = local.Reported || len(l.born) > 0
	local.Wish = cmp.Or(l.wish, local.Wish)
	if len(l.images) > 0 {
		local.Images = l.images
	}
	return r.keeper.SaveLocal(s.Name, local)
}

// missed is what the record does not have from this host.
func (r report) missed(ctx context.Context) learned {
	local := r.keeper.Local(r.stack.Name)
	l := learned{images: r.imagesMissed(ctx, local), wish: r.wishMissed(local)}
	if !local.Reported {
		l.born = r.stack.Births()
	}
	return l
}

// imagesMissed returns the images that the spec's own version runs with, unless the spec or
// the record has them. Those of another version are not the lock's business; a later commit that
// left this stack as it was is the same version.
func (r report) imagesMissed(ctx context.Context, local here.Local) map[string]string {
	deployed, known, err := r.keeper.Stacks.Deployed(ctx, r.stack.Name)
	if err != nil || !known || deployed.Hash != r.stack.Project.Hash || deployed.Epoch != r.stack.Epoch ||
		maps.Equal(deployed.Images, r.stack.Images) || maps.Equal(deployed.Images, local.Images) {
		return nil
	}
	return deployed.Images
}

// wishMissed returns the wish that was done, unless the record knows that it was.
func (r report) wishMissed(local here.Local) string {
	s := r.stack
	if s.Restore != nil && r.keeper.Wishes(s.Name).Done == s.Restore.ID && s.Restore.ID != local.Wish {
		return s.Restore.ID
	}
	return ""
}
