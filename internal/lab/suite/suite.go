// Package suite runs every test of the project within a bounded time: first those
// that need no lab, packages in parallel, then those that start one, the most
// important first and several at a time, begun only while there is time.
package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/labtest"
)

// Options say what is run. The zero value runs everything.
type Options struct {
	Budget  time.Duration // wall clock after which no test with a lab begins; 0 for no bound
	Since   string        // the commit of the last landing; "" for the one usualLanding before HEAD
	Labs    int           // tests with a lab at a time; 0 for three
	Verbose bool          // print what passing tests said, too
	Out     io.Writer     // what failed, the report, the end of what failed and the test runner's closing lines
	Err     io.Writer     // what go itself has to say
	Log     func(format string, args ...any)
}

// usualLabs at a time: for most of its time a lab waits for boots, health checks,
// time-outs and the network, so that two processors carry three.
const usualLabs = 3

// How long one test may take before it is ended with all its goroutines shown.
const (
	quickLimit   = "-timeout=20m" // a package's tests without a lab
	boundedLimit = "-timeout=35m" // one test with a lab, where the whole has a budget
	freeLimit    = "-timeout=45m"
)

// Need is what all tests take of the disk: measured from nothing cached, with three labs
// at a time.
func Need() lab.Need { return lab.Need{Engine: 12 << 30, Cache: 4 << 30} }

type suite struct {
	Options
	folder string    // for what go compiles
	until  time.Time // no test with a lab begins after it; zero for no bound
	queue  *queue

	mu      sync.Mutex // guards what follows, and Out
	results results
	ran     []string
}

// Run runs the tests and reports whether all of them passed. An error means
// that they could not be run.
func Run(ctx context.Context, o Options) (passed bool, err error) {
	s := &suite{Options: o}
	if s.Labs == 0 {
		s.Labs = usualLabs
	}
	if o.Budget > 0 {
		s.until = time.Now().Add(o.Budget)
	}
	remove, err := s.prepare(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	began := time.Now()
	if err := s.quick(ctx); err != nil {
		return false, err
	}
	s.Log("tests without a lab: %s", time.Since(began).Round(time.Second))
	if err := s.plan(ctx); err != nil {
		return false, err
	}
	err = s.withLabs(ctx)
	s.report()
	return err == nil && !s.results.failed(), err
}

// prepare removes what dead runs left, makes sure that there is space for this one, and
// makes the folder for what is compiled, which remove removes.
func (s *suite) prepare(ctx context.Context) (remove func() error, err error) {
	if lab.Available(ctx) == nil { // withLabs says why not
		for _, tidy := range []func(context.Context) ([]string, error){lab.Sweep, lab.Prune} {
			if _, err := tidy(ctx); err != nil {
				s.Log("remove what is not used any more: %v", err)
			}
		}
		space, err := lab.Space(ctx, Need())
		if err != nil {
			return nil, err
		}
		s.Log("%s", space)
	}
	s.folder, remove, err = lab.Scratch("tests")
	return remove, err
}

// quick runs all tests; those that need a lab are skipped for later.
func (s *suite) quick(ctx context.Context) error {
	got, err := s.goTest(ctx, []string{labtest.EnvLater + "=1"}, quickLimit, module+"...")
	if err != nil {
		return err
	}
	s.results = got
	return nil
}

// plan makes the queue of the tests that wait for a lab.
func (s *suite) plan(ctx context.Context) error {
	known, err := table()
	if err != nil {
		return err
	}
	waiting := slices.DeleteFunc(s.results.waiting(), func(t Test) bool { return known[t].alone })
	commit, reached, err := s.reached(ctx, known)
	if err != nil {
		return err
	}
	s.queue = newQueue(order(waiting, reached, commit), known)
	if left := s.left(); left == unbounded || s.queue.total()/time.Duration(s.Labs) < left/2 {
		s.queue.longestFirst() // all of them are run, so that only the end matters
	}
	return nil
}

// left is how much of the budget is left.
func (s *suite) left() time.Duration {
	if s.until.IsZero() {
		return unbounded
	}
	return time.Until(s.until)
}

// withLabs runs what is queued, several at a time. What an ended test left
// behind is removed.
func (s *suite) withLabs(ctx context.Context) error {
	if err := lab.Available(ctx); err != nil {
		if os.Getenv("SALVOR_LAB") == "require" {
			return err
		}
		s.Log("no lab here: %v", err)
		return nil
	}
	var workers sync.WaitGroup
	errs := make(chan error, s.Labs)
	for range s.Labs {
		workers.Go(func() { errs <- s.work(ctx) })
	}
	workers.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	if _, err := lab.Sweep(ctx); err != nil {
		s.Log("sweep what ended tests left behind: %v", err)
	}
	return nil
}

func (s *suite) work(ctx context.Context) error {
	limit := freeLimit
	if s.Budget > 0 {
		limit = boundedLimit
	}
	for {
		next, ok := s.queue.next(s.left())
		if !ok || ctx.Err() != nil {
			return ctx.Err()
		}
		s.Log("%s begins (%s)", next.Test, next.why)
		began := time.Now()
		got, err := s.goTest(ctx, nil, limit, "-count=1", "-vet=off", "-run", "^"+next.Name+"$", next.Package)
		if err != nil {
			return err
		}
		took := time.Since(began)
		s.queue.took(next.Test, took)
		s.mu.Lock()
		s.results.merge(got)
		s.ran = append(s.ran, next.String())
		s.mu.Unlock()
		s.Log("%s: %s in %s", next.Test, got.verdict(), took.Round(time.Second))
	}
}

// report prints what ran, what did not, the slowest, the last lines of what failed, and
// what `go test` would say at its end.
func (s *suite) report() {
	fmt.Fprintf(s.Out, "\nwith a lab ran %d: %s\n", len(s.ran), listed(s.ran))
	var not []string
	for _, p := range s.queue.rest() {
		not = append(not, p.String())
	}
	fmt.Fprintf(s.Out, "not run %d: %s\n", len(not), listed(not))
	fmt.Fprintf(s.Out, "the %d slowest tests:\n", slowest)
	for _, t := range s.results.slowest(slowest) {
		fmt.Fprintf(s.Out, "%8.1f s  %s\n", t.took.Seconds(), t.Test)
	}
	fmt.Fprintln(s.Out)
	s.results.brokenEnd(s.Out)
	s.results.closing(s.Out)
}
