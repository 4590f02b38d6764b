// Package scenario is what the scenarios have in common: a lab, a seed that makes a
// run repeatable, how long to continue, and counts of what was done.
//
// A scenario is a Go test in internal/lab/scenarios; salvorlab run host-loss
// runs TestHostLoss.
package scenario

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/labtest"
)

// The environment through which salvorlab run hands a scenario its flags.
const (
	EnvSeed = "SALVOR_LAB_SEED" // a number; default: random
	EnvFor  = "SALVOR_LAB_FOR"  // a duration; default: the scenario's own
	EnvFull = "SALVOR_LAB_FULL" // anything: everything that the scenario has, however long it takes
)

// A Scenario is one run of one scenario.
type Scenario struct {
	*lab.Lab // nil WithoutLab
	Seed     uint64
	For      time.Duration // how long writers and faults continue
	Full     bool          // not only what there is time for among all other tests
	Rand     *rand.Rand    // seeded; for the test's goroutine alone

	mu     sync.Mutex
	counts map[string]int
}

// Begin starts a lab for the test and prints the seed; usually is how long the
// scenario continues when --for was not given. The counts are printed at the end.
func Begin(t *testing.T, usually time.Duration) *Scenario {
	t.Helper()
	s := WithoutLab(t, usually)
	s.Lab = labtest.Start(t, lab.Options{Name: name(t.Name())})
	return s
}

// WithoutLab is Begin for a scenario that needs no host.
func WithoutLab(t *testing.T, usually time.Duration) *Scenario {
	t.Helper()
	if os.Getenv(labtest.EnvLater) != "" {
		t.Skip(labtest.Later)
	}
	name := name(t.Name())
	s := &Scenario{Seed: rand.Uint64() % 1e9, For: usually, Full: os.Getenv(EnvFull) != "", counts: map[string]int{}}
	if given := os.Getenv(EnvSeed); given != "" {
		seed, err := strconv.ParseUint(given, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", EnvSeed, err)
		}
		s.Seed = seed
	}
	if given := os.Getenv(EnvFor); given != "" {
		limit, err := time.ParseDuration(given)
		if err != nil {
			t.Fatalf("%s: %v", EnvFor, err)
		}
		s.For = limit
	}
	s.Full = s.Full || s.For > usually
	s.Rand = rand.New(rand.NewPCG(s.Seed, 0))
	t.Logf("scenario %s: seed %d, for %s", name, s.Seed, s.For)
	t.Cleanup(func() { t.Logf("scenario %s: seed %d: %s", name, s.Seed, s.summary()) })
	return s
}

// Count adds to what is printed at the end: rows written, faults injected,
// recoveries. It is safe for concurrent use.
func (s *Scenario) Count(what string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[what] += n
}

func (s *Scenario) summary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := []string{}
	for _, what := range slices.Sorted(maps.Keys(s.counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", s.counts[what], what))
	}
	if len(parts) == 0 {
		return "nothing counted"
	}
	return strings.Join(parts, ", ")
}
