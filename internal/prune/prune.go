// Package prune removes the snapshots that the retention does not keep, with an
// operator's own credentials.
package prune

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/record"
	"salvor/internal/recording"
	"salvor/internal/snapshot"
	"salvor/internal/terminal"
)

// A Fleet is the newest commit of the fleet, opened, as far as pruning needs it.
type Fleet struct {
	recording.Archives
	// StandBy returns what asks hosts to leave stacks alone. Its progress goes to sink.
	StandBy func(ctx context.Context, sink progress.Sink) (StandBy, error)
}

// StandBy has a host leave stacks alone until release, see deploy.Session.
type StandBy func(ctx context.Context, host string, stacks []string) (held context.Context, release func(), err error)

// A Pruning is what pruning removes from one stack's repository on one target.
type Pruning struct {
	Stack  string     `json:"stack"`
	Target string     `json:"target"`
	Forget []Snapshot `json:"forget"`
	Keep   int        `json:"keep"`
	Aside  int        `json:"aside,omitempty"` // stay and do not count: unproven, or of a time that can't be
	Why    string     `json:"why,omitempty"`   // nothing is removed
	Packs  int        `json:"packs"`           // removed
	Bytes  int64      `json:"bytes"`           // removed
	Lost   int        `json:"lost,omitempty"`  // packs that the remote does not have any more: the next snapshot uploads them again
	Host   string     `json:"host,omitempty"`  // that takes the stack's snapshots

	Done bool `json:"done"` // the snapshots of Forget are gone

	archive recording.Archive
	plan    snapshot.Pruning
}

// A Snapshot is one that is removed.
type Snapshot struct {
	ID    string    `json:"id"`
	Epoch int       `json:"epoch"`
	Seq   int       `json:"seq"`
	Taken time.Time `json:"taken"`
}

// Prepare proposes to remove what the retention of each target does not keep of the
// stacks' snapshots, and the data that no snapshot needs any more; without a stack, of all
// that ever had a repository. Where nothing can be removed, the proposal asks nothing and
// its receipt says why.
//
// The host that takes a stack's snapshots is asked to leave them alone meanwhile; nothing
// is removed of the stacks of one that does not answer. The receipt is nil where nothing
// was begun.
func Prepare(ctx context.Context, f *Fleet, stacks ...string) (proposal.Proposal[[]Pruning], error) {
	planned, err := f.plan(ctx, stacks)
	p := proposal.New("prune snapshots", func(ctx context.Context, sink progress.Sink) ([]Pruning, error) {
		return f.prune(ctx, sink, planned)
	})
	p.Plan = describe(planned)
	going, able := 0, false
	for _, one := range planned {
		if one.Why != "" {
			continue
		}
		able, going = true, going+len(one.Forget)
		if len(one.Forget) > 0 {
			p.Loses = append(p.Loses, fmt.Sprintf("%s of %s on %s", terminal.Count(len(one.Forget), "snapshot"), one.Stack, one.Target))
		}
	}
	if able {
		p.Question = fmt.Sprintf("Remove %s permanently, and the data that no snapshot needs any more?", terminal.Count(going, "snapshot"))
	}
	return p, err
}

// Measure returns what Prepare's proposal would remove, with the bytes, and removes nothing.
// No host is asked. Text says it in words.
func Measure(ctx context.Context, f *Fleet, stacks ...string) (planned []Pruning, text string, err error) {
	planned, err = f.plan(ctx, stacks)
	text = describe(planned)
	for i := range planned {
		p := &planned[i]
		if p.Why != "" || err != nil {
			continue
		}
		err = f.On(ctx, p.archive, func(repo snapshot.Repository) error {
			swept, err := snapshot.MeasurePrune(ctx, repo, p.plan)
			p.Packs, p.Bytes, p.Lost = swept.Packs, swept.Bytes, swept.Lost
			return err
		})
		if err != nil {
			err = fmt.Errorf("%s on %s: %w", p.Stack, p.Target, err)
		}
	}
	return planned, text, err
}

// describe says what goes, and of what stays why.
func describe(planned []Pruning) string {
	var text strings.Builder
	if len(planned) == 0 {
		terminal.Printf(&text, "No stack has a snapshot repository on a target yet.\n")
	}
	for _, p := range planned {
		if p.Why != "" {
			terminal.Printf(&text, "%s on %s: %s\n", p.Stack, p.Target, p.Why)
			continue
		}
		terminal.Printf(&text, "%s on %s: %d stay, %d are removed", p.Stack, p.Target, p.Keep, len(p.Forget))
		if p.Aside > 0 {
			terminal.Printf(&text, "; %d more stay but do not count: they are not proven, or their time is not plausible", p.Aside)
		}
		terminal.Printf(&text, "\n")
		for _, f := range p.Forget {
			terminal.Printf(&text, "  - %.8s of %s\n", f.ID, f.Taken.UTC().Format(time.DateTime))
		}
	}
	return text.String()
}

// prune removes what was planned.
func (f *Fleet) prune(ctx context.Context, sink progress.Sink, planned []Pruning) ([]Pruning, error) {
	var standBy StandBy
	var errs []error
	for i := range planned {
		p := &planned[i]
		if p.Why != "" {
			continue
		}
		if standBy == nil {
			var err error
			if standBy, err = f.StandBy(ctx, sink); err != nil {
				return nil, err
			}
		}
		if err := f.pruneOne(ctx, p, standBy); err != nil {
			errs = append(errs, fmt.Errorf("%s on %s: %w", p.Stack, p.Target, err))
		}
	}
	return planned, errors.Join(errs...)
}

func (f *Fleet) pruneOne(ctx context.Context, p *Pruning, standBy StandBy) error {
	if p.Host != "" {
		held, release, err := standBy(ctx, p.Host, []string{p.Stack})
		if err != nil {
			p.Why = "its host does not answer"
			return fault.WithHint(fmt.Errorf("nothing is removed while its host could take a snapshot: %w", err), "salvor status; when "+p.Host+" "+
				"is lost permanently: salvor recover "+p.Host+" --to HOST")
		}
		defer release()
		ctx = held
	}
	return f.On(ctx, p.archive, func(repo snapshot.Repository) error {
		swept, err := snapshot.Prune(ctx, repo, p.plan)
		p.Packs, p.Bytes, p.Lost = swept.Packs, swept.Bytes, swept.Lost
		if cause := context.Cause(ctx); err != nil && cause != nil {
			return cause
		}
		if err != nil {
			return err
		}
		p.Done = true
		return f.dropProven(ctx, p.Stack, repo.Trust.Epoch)
	})
}

// dropProven removes the notes about older snapshots that hosts may not remove.
func (f *Fleet) dropProven(ctx context.Context, stack string, epoch int) error {
	return f.With(ctx, func(rec *record.Record) error { return rec.DropProven(ctx, stack, epoch) })
}
