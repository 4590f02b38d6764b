package deploy

import (
	"context"
	"maps"
	"slices"

	"salvor/internal/fault"
	"salvor/internal/placement"
)

// End ends the placements of stacks, by the epoch at which no host has them any more: one
// commit with files, then a claim for each stack. Their host runs them for its user already.
// It may be called again, also for a stack that the lock does not have any more.
func End(ctx context.Context, s *Session, stacks map[string]int, files map[string][]byte, o Options) (Receipt, error) {
	names := slices.Sorted(maps.Keys(stacks))
	r := s.Begin(Plan{}, placement.End(s.Lock, names...), o)
	err := end(ctx, r, names, stacks, files)
	return r.End(), err
}

func end(ctx context.Context, r *Run, names []string, epochs map[string]int, files map[string][]byte) error {
	if err := r.commitLock(ctx, files, r.Next, r.message()); err != nil {
		return err
	}
	if r.Fleet.Record.Remote == "" || len(names) == 0 {
		return nil
	}
	err := r.phase(ctx, "record that no host has them", func() error {
		for _, name := range names {
			if err := r.Record.Claim(ctx, name, epochs[name], "", r.Commit); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && fault.Hint(err) == "" {
		err = fault.WithHint(err, "the placements are ended; run the same command again to continue")
	}
	if err == nil {
		r.mirror(ctx)
	}
	return err
}
