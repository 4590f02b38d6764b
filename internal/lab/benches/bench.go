// Package benches holds the project's benchmarks against real hosts. Each prints
// figures with the goal they are measured against; salvorlab bench runs them.
package benches

import (
	"context"
	"fmt"
	"slices"
	"time"

	"salvor/internal/lab/world"
)

// A Figure is one measured number. OK says whether it reaches its goal; a figure
// without a goal is only recorded and always OK.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"` // "ratio", "s", "MiB"
	Goal  string  `json:"goal"` // "<= 0.05", "" for none
	OK    bool    `json:"ok"`
}

// AtMost is a figure whose goal is an upper bound.
func AtMost(name string, value float64, unit string, bound float64) Figure {
	return Figure{Name: name, Value: value, Unit: unit, Goal: fmt.Sprintf("<= %g", bound), OK: value <= bound}
}

// AtLeast is a figure whose goal is a lower bound.
func AtLeast(name string, value float64, unit string, bound float64) Figure {
	return Figure{Name: name, Value: value, Unit: unit, Goal: fmt.Sprintf(">= %g", bound), OK: value >= bound}
}

// A Bench measures one thing. Report is called as figures come in; log gets
// lines for a person who waits.
type Bench struct {
	Name  string
	About string
	Run   func(ctx context.Context, log func(format string, args ...any), report func(Figure)) error
}

// All returns every bench, in the order to run them.
func All() []Bench {
	return []Bench{
		{"noop", "apply with nothing to do, against ansible-playbook with the same 18 wishes", noop},
		{"plan", "a plan of 20 hosts and 200 services, the hosts in one process", plan},
		{"prepare", "a clean host made ready, against plain Ansible roles", prepare},
		{"recover", "six stacks onto a clean host, against a script with the unavoidable steps alone", recoverSix},
		{"memory", "salvord's memory, idle with six stacks and during a snapshot of 2 GiB", memory},
		{"snapshot", "1 GiB in 20,000 files taken, taken again, restored and copied, against restic alone", snapshots},
		{"mount", "a shared volume written and read, against Debian's rclone mount", mounts},
		{"host", "time from nothing to a booted host, its image built already", hostReady},
	}
}

// A Pair is one time of each of two contenders: the best, or the median.
type Pair struct{ Ours, Baseline time.Duration }

// Ratio is ours over the baseline: below one, ours is faster.
func (p Pair) Ratio() float64 { return p.Ours.Seconds() / p.Baseline.Seconds() }

// Compare runs two contenders in turns, ABBA, so that a machine that warms up or
// slows down favours neither, and keeps each one's best of the given rounds.
func Compare(ctx context.Context, rounds int, ours, baseline func(context.Context) error) (Pair, error) {
	return CompareTimes(ctx, rounds, clocked(ours), clocked(baseline))
}

// clocked takes the time of a whole run.
func clocked(run func(context.Context) error) func(context.Context) (time.Duration, error) {
	return func(ctx context.Context) (time.Duration, error) {
		start := time.Now()
		err := run(ctx)
		return time.Since(start), err
	}
}

// CompareTimes is Compare for contenders that take their own time, because they
// have things to prepare that do not count.
func CompareTimes(ctx context.Context, rounds int, ours, baseline func(context.Context) (time.Duration, error)) (Pair, error) {
	return compare(ctx, rounds, ours, baseline, slices.Min)
}

// CompareMedians is CompareTimes that keeps each one's median.
func CompareMedians(ctx context.Context, rounds int, ours, baseline func(context.Context) (time.Duration, error)) (Pair, error) {
	return compare(ctx, rounds, ours, baseline, median)
}

func compare(ctx context.Context, rounds int, ours, baseline func(context.Context) (time.Duration, error), keep func([]time.Duration) time.Duration) (Pair, error) {
	a, b := &timed{run: ours}, &timed{run: baseline}
	for round := range rounds {
		turn := []*timed{a, b}
		if round%2 == 1 {
			slices.Reverse(turn)
		}
		for _, c := range turn {
			if err := c.once(ctx); err != nil {
				return Pair{}, err
			}
		}
	}
	return Pair{keep(a.took), keep(b.took)}, nil
}

// median is the time in the middle, of an even number the mean of both.
func median(all []time.Duration) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// fastest returns the best time of n runs.
func fastest(ctx context.Context, n int, run func(context.Context) error) (best time.Duration, err error) {
	t := timed{run: clocked(run)}
	for range n {
		if err := t.once(ctx); err != nil {
			return 0, err
		}
	}
	return slices.Min(t.took), nil
}

// A timed is a contender, and how long its runs took.
type timed struct {
	run  func(context.Context) (time.Duration, error)
	took []time.Duration
}

func (t *timed) once(ctx context.Context) error {
	took, err := t.run(ctx)
	if err == nil {
		t.took = append(t.took, took)
	}
	return err
}

// unlock has the operator's key open, until lock is called.
func unlock(ctx context.Context, w *world.World) (lock func() error, err error) {
	if _, err := w.Salvor(ctx, nil, "key", "unlock"); err != nil {
		return nil, err
	}
	return func() error {
		_, err := w.Salvor(context.WithoutCancel(ctx), nil, "key", "lock")
		return err
	}, nil
}
