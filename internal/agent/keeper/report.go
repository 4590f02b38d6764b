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
	if err := k.report(ctx, s, images, born, wish); err != nil {
		k.Enter(journal.Entry{Kind: "facts", Stack: s.Name, Error: err.Error()})
	}
}

func (k *Keeper) report(ctx context.Context, s *here.Stack, images map[string]string, born map[string]time.Time, wish string) error {
	fact := record.Fact{Epoch: s.Epoch, Host: s.Spec.Name, Commit: s.Spec.Commit, At: time.Now().UTC(), Images: images, Born: born, Wish: wish}
	rec, err := s.Access.Record(ctx, s.Spec.Record)
	if err != nil {
		return err
	}
	_, err = rec.AppendFact(ctx, s.Name, fact)
	if err = errors.Join(err, rec.Close(ctx)); err != nil {
		return err
	}
	local := k.Local(s.Name)
	if local.Epoch != s.Epoch {
		return nil
	}
	local.Reported = local.Reported || len(born) > 0
	local.Wish = cmp.Or(wish, local.Wish)
	if len(images) > 0 {
		local.Images = images
	}
	return k.SaveLocal(s.Name, local)
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
		s := k.At(spec, st)
		if k.RunsHere(s) && k.missed(ctx, s).any() && watch.Recent(ctx, s).MayChange {
			errs = append(errs, k.reportOne(ctx, s))
		}
	}
	return errors.Join(errs...)
}

func (k *Keeper) reportOne(ctx context.Context, s *here.Stack) error {
	lock, err := k.LockStack(ctx, s.Name, here.Daemon, "report what runs here")
	if err != nil {
		return err
	}
	defer lock.Release()
	if !k.RunsHere(s) {
		return nil
	}
	if s, err = s.Open(); err != nil {
		return err
	}
	return k.reportMissed(ctx, s)
}

// A missed is what the record does not have from this host of a stack that runs here: births,
// without which a host that takes it over would find snapshots of a volume that was never
// born, and refuse to start; the images that run, and the wish that was done, without which
// the lock never learns of them.
type missed struct {
	born   map[string]time.Time
	images map[string]string
	wish   string
}

func (m missed) any() bool { return len(m.born) > 0 || len(m.images) > 0 || m.wish != "" }

func (k *Keeper) missed(ctx context.Context, s *here.Stack) missed {
	local := k.Local(s.Name)
	m := missed{images: k.imagesMissed(ctx, s, local), wish: k.wishMissed(s, local)}
	if !local.Reported {
		m.born = s.Births()
	}
	return m
}

// reportMissed reports what was missed, if anything.
func (k *Keeper) reportMissed(ctx context.Context, s *here.Stack) error {
	m := k.missed(ctx, s)
	if s.Spec.Record.Remote == "" || !m.any() {
		return nil
	}
	return k.report(ctx, s, m.images, m.born, m.wish)
}

// imagesMissed returns the images that the spec's own version runs with, unless the spec or
// the record has them. Those of another version are not the lock's business; a later commit that
// left this stack as it was is the same version.
func (k *Keeper) imagesMissed(ctx context.Context, s *here.Stack, local here.Local) map[string]string {
	deployed, known, err := k.Stacks.Deployed(ctx, s.Name)
	if err != nil || !known || deployed.Hash != s.Project.Hash || deployed.Epoch != s.Epoch ||
		maps.Equal(deployed.Images, s.Images) || maps.Equal(deployed.Images, local.Images) {
		return nil
	}
	return deployed.Images
}

// wishMissed returns the wish that was done, unless the record knows that it was.
func (k *Keeper) wishMissed(s *here.Stack, local here.Local) string {
	if s.Restore != nil && k.Wishes(s.Name).Done == s.Restore.ID && s.Restore.ID != local.Wish {
		return s.Restore.ID
	}
	return ""
}
