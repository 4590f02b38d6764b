// Package loop runs named periodic work: each loop at its own pace, with jitter,
// longer pauses after failures, and a state that can be asked.
package loop

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Loop is one piece of periodic work. It runs for the first time one pause after
// the start, and never twice at once.
type Loop struct {
	Name   string
	Every  time.Duration                   // the pause after a run; more than 0
	Jitter time.Duration                   // up to this much is added to each pause
	Most   time.Duration                   // longest pause after failures in a row; 0 keeps to Every
	Early  func() <-chan struct{}          // when set, what ends a pause before its time; asked at its begin
	Wait   func(ctx context.Context) bool  // waits in place of the pause; false when ctx has ended
	Run    func(ctx context.Context) error // one round
}

// A State says how a loop is doing.
type State struct {
	Name     string
	Running  bool
	Began    time.Time // of the last round, zero before the first
	Ended    time.Time // of the last round that ended
	Rounds   int       // that ended
	Failures int       // in a row, 0 after a round that went well
	Err      error     // of the last round
}

// A Set runs loops side by side. Its methods may be called at any time. The zero
// value is ready for use.
type Set struct {
	// Seed is what jitter comes from: sets with one seed have the same, so that a run can
	// be repeated, and those with different ones are apart.
	Seed uint64

	// Failed, when set, is called after a round with an error that differs from that
	// of the round before: an outage is reported once, not in every round. It is not
	// called for errors that come with the end of the context.
	Failed func(name string, err error)

	mu     sync.Mutex // guards states
	states map[string]State
	all    sync.WaitGroup
}

// Start runs loops until ctx ends. Names are unique within a Set.
func (s *Set) Start(ctx context.Context, loops ...Loop) {
	for _, l := range loops {
		s.put(State{Name: l.Name})
		s.all.Go(func() { s.run(ctx, l) })
	}
}

// Wait returns when every loop has ended, after the end of their context.
func (s *Set) Wait() { s.all.Wait() }

// States returns how the loops are doing, by name.
func (s *Set) States() []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []State
	for _, state := range s.states {
		all = append(all, state)
	}
	slices.SortFunc(all, func(a, b State) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (s *Set) put(state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.states == nil {
		s.states = map[string]State{}
	}
	s.states[state.Name] = state
}

func (s *Set) run(ctx context.Context, l Loop) {
	state := State{Name: l.Name}
	random := rand.New(rand.NewPCG(s.Seed, SeedOf(l.Name)))
	for l.wait(ctx, state.Failures, random) {
		state.Running, state.Began = true, time.Now()
		s.put(state)
		before := text(state.Err)
		state.Err = l.Run(ctx)
		state.Running, state.Ended = false, time.Now()
		state.Rounds++
		state.Failures++
		if state.Err == nil {
			state.Failures = 0
		}
		s.put(state)
		if state.Err != nil && s.Failed != nil && ctx.Err() == nil && text(state.Err) != before {
			s.Failed(l.Name, state.Err)
		}
	}
}

// wait pauses before the next round, and reports false when ctx has ended.
func (l Loop) wait(ctx context.Context, failures int, random *rand.Rand) bool {
	if l.Wait != nil {
		return l.Wait(ctx)
	}
	pause := l.pause(failures)
	if l.Jitter > 0 {
		pause += time.Duration(random.Int64N(int64(l.Jitter)))
	}
	var early <-chan struct{}
	if l.Early != nil {
		early = l.Early()
	}
	select {
	case <-ctx.Done():
	case <-early:
	case <-time.After(pause):
	}
	return ctx.Err() == nil
}

// pause doubles with every failure in a row after the first, up to Most.
func (l Loop) pause(failures int) time.Duration {
	pause := l.Every
	for ; failures > 1 && pause < l.Most; failures-- {
		pause = min(2*pause, l.Most)
	}
	return pause
}

// SeedOf makes a seed of a name, the same one every time.
func SeedOf(name string) uint64 {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(name)) // never fails
	return sum.Sum64()
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
