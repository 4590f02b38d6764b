package converge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"salvor/internal/machine/observe"
	"salvor/internal/progress"
)

// ErrMoved is wrapped by errors that mean: the host is no longer as it was when
// the plan was made. A new plan says what is to be done now.
var ErrMoved = errors.New("the host changed since the plan was made")

// overlap is how many changes are applied at once. They wait for disk and
// network more than for the processor; apt and dpkg allow one of their kind.
const overlap = 4

// An Outcome is what became of one change: State is Done, Failed or Skipped.
// Text says more ("already so", or what it was skipped for).
type Outcome struct {
	Change Change
	State  progress.State
	Text   string
	Err    error
	Began  time.Time
	Ended  time.Time
}

// Apply carries the plan out and returns an outcome for each change, in the
// plan's order, and the joined errors of those that failed.
//
// Each resource is asked again right before its change. What is right by then is
// already so. A cause other than the planned one wraps ErrMoved, unless a change that
// comes before it was applied in this run: then what Diff says now counts. In no case
// is data destroyed that the plan did not name.
//
// A failure stops those that come after it, which are skipped, and no others. When
// ctx ends nothing new begins. After any end a new plan takes up the rest.
func (p *Plan) Apply(ctx context.Context, scope progress.Scope) ([]Outcome, error) {
	run := &run{plan: p, scope: scope, slots: make(chan struct{}, overlap), outcomes: make([]Outcome, len(p.steps))}
	for range p.steps {
		run.done = append(run.done, make(chan struct{}))
	}
	var wg sync.WaitGroup
	for i := range p.steps {
		wg.Go(func() {
			defer close(run.done[i])
			run.outcomes[i] = run.step(ctx, i)
		})
	}
	wg.Wait()
	var errs []error
	for _, o := range run.outcomes {
		errs = append(errs, o.Err)
	}
	return run.outcomes, errors.Join(errs...)
}

type run struct {
	plan     *Plan
	scope    progress.Scope
	slots    chan struct{}
	done     []chan struct{} // by step, closed when its outcome is set
	outcomes []Outcome
}

// step waits for those before step i and for a free slot, then applies it.
func (r *run) step(ctx context.Context, i int) Outcome {
	s := r.plan.steps[i]
	o := Outcome{Change: s.change, State: progress.Skipped}
	for _, j := range s.first {
		<-r.done[j]
		if before := r.outcomes[j]; before.State != progress.Done && o.Text == "" {
			o.Text = "waits for " + before.Change.ID
		}
	}
	if o.Text != "" {
		r.scope.Skip(s.change.ID, o.Text)
		return o
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		o.Text, o.Err = "interrupted", fmt.Errorf("%s: %w", s.change.ID, ctx.Err())
		r.scope.Skip(s.change.ID, o.Text)
		return o
	}
	return r.apply(ctx, s, o)
}

func (r *run) apply(ctx context.Context, s step, o Outcome) Outcome {
	o.Began = time.Now().UTC()
	end := r.scope.Step(s.change.ID, s.change.Cause)
	o.Text, o.Err = r.execute(ctx, s)
	o.State = progress.Done
	if o.Text == "" || o.Err != nil {
		end(o.Err, "")
	} else {
		r.scope.Skip(s.change.ID, o.Text)
	}
	if o.Err != nil {
		o.State = progress.Failed
		o.Err = fmt.Errorf("%s: %w", s.change.ID, o.Err)
	}
	o.Ended = time.Now().UTC()
	return o
}

func (r *run) execute(ctx context.Context, s step) (text string, err error) {
	h := observe.New(r.plan.machine, s.resource.Links().Looks)
	now, err := s.resource.Diff(ctx, h)
	if err != nil {
		return "", err
	}
	if err := s.check(now); err != nil {
		return "", err
	}
	if now == nil {
		return "already so", nil
	}
	return "", now.Apply(ctx, func(text string) { r.scope.Say(s.change.ID, text) })
}

// check compares what Diff says now with the plan.
func (s step) check(now *Change) error {
	settled := len(s.first) == 0 // nothing before it was applied in this run
	switch {
	case now == nil:
		return nil // something else did just that in the meantime, as a starting stack makes its folder
	case settled && (now.Cause != s.change.Cause || now.Seen != s.change.Seen):
		return fmt.Errorf("%w: %s; planned for: %s", ErrMoved, now.Cause, s.change.Cause)
	case now.Destroys != "" && now.Destroys != s.change.Destroys:
		return fmt.Errorf("%w: it would now destroy %s", ErrMoved, now.Destroys)
	}
	return nil
}
