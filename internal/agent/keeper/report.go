package keeper

import (
	"context"
	"errors"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/journal"
	"salvor/internal/record"
)

// Report writes down on the record remote what this host learned of a stack, for the case
// that the operator never hears of it. Births that can't be written now are written after
// the next snapshot.
func (k *Keeper) Report(ctx context.Context, s *here.Stack, images map[string]string, born map[string]time.Time, wish string) {
	fact := record.Fact{Epoch: s.Epoch, Host: s.Spec.Name, Commit: s.Spec.Commit, At: time.Now().UTC(), Images: images, Born: born, Wish: wish}
	rec, err := s.Access.Record(ctx, s.Spec.Record)
	if err == nil {
		_, err = rec.AppendFact(ctx, s.Name, fact)
		err = errors.Join(err, rec.Close(ctx))
	}
	if local := k.Local(s.Name); err == nil && len(born) > 0 && local.Epoch == s.Epoch {
		local.Reported = true
		err = k.SaveLocal(s.Name, local)
	}
	if err != nil {
		k.Enter(journal.Entry{Kind: "facts", Stack: s.Name, Error: err.Error()})
	}
}

// reportBirths reports the births of a stack that has snapshots from now on, unless the
// record or the lock has them: a host that takes it over would else find snapshots of a
// volume that was never born, and refuse to start.
func (k *Keeper) reportBirths(ctx context.Context, s *here.Stack) {
	if s.Spec.Record.Remote == "" || k.Local(s.Name).Reported {
		return
	}
	if born := s.Births(); len(born) > 0 {
		k.Report(ctx, s, nil, born, "")
	}
}
