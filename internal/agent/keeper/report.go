package keeper

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/journal"
	"salvor/internal/record"
)

// Report writes down on the record remote what this host learned of a stack, for the case
// that the operator never hears of it. What can't be written now is written after the
// next snapshot.
func (k *Keeper) Report(ctx context.Context, s *here.Stack, images map[string]string, born map[string]time.Time, wish string) {
	fact := record.Fact{Epoch: s.Epoch, Host: s.Spec.Name, Commit: s.Spec.Commit, At: time.Now().UTC(), Images: images, Born: born, Wish: wish}
	rec, err := s.Access.Record(ctx, s.Spec.Record)
	if err == nil {
		_, err = rec.AppendFact(ctx, s.Name, fact)
		err = errors.Join(err, rec.Close(ctx))
	}
	if local := k.Local(s.Name); err == nil && local.Epoch == s.Epoch {
		local.Reported = local.Reported || len(born) > 0
		local.Wish = cmp.Or(wish, local.Wish)
		if len(images) > 0 {
			local.Images = images
		}
		err = k.SaveLocal(s.Name, local)
	}
	if err != nil {
		k.Enter(journal.Entry{Kind: "facts", Stack: s.Name, Error: err.Error()})
	}
}

// reportMissed reports what the record does not have from this host of a stack that has
// snapshots from now on: births, without which a host that takes it over would find snapshots
// of a volume that was never born, and refuse to start; the images that run, and the wish
// that was done, without which the lock never learns of them. It makes no call where the
// record has it all.
func (k *Keeper) reportMissed(ctx context.Context, s *here.Stack) {
	if s.Spec.Record.Remote == "" {
		return
	}
	local := k.Local(s.Name)
	var born map[string]time.Time
	if !local.Reported {
		born = s.Births()
	}
	images, wish := k.imagesMissed(ctx, s, local), k.wishMissed(s, local)
	if len(born) > 0 || len(images) > 0 || wish != "" {
		k.Report(ctx, s, images, born, wish)
	}
}

// imagesMissed returns the images that the spec's own version runs with, unless the spec or
// the record has them. Those of another version are not the lock's business.
func (k *Keeper) imagesMissed(ctx context.Context, s *here.Stack, local here.Local) map[string]string {
	deployed, known, err := k.Stacks.Deployed(ctx, s.Name)
	if err != nil || !known || deployed.Commit != s.Spec.Commit || deployed.Epoch != s.Epoch ||
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
