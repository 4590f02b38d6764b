package suite

import (
	"cmp"
	"crypto/sha256"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	module    = "salvor/"
	scenarios = module + "internal/lab/scenarios"

	unbounded = time.Duration(math.MaxInt64)
	usually   = 3 * time.Minute // for a test of which nothing is known
)

// A Test is a top-level test of a package.
type Test struct{ Package, Name string }

// String is the package without the module, and the test.
func (t Test) String() string { return strings.TrimPrefix(t.Package, module) + " " + t.Name }

// core returns the tests that are run whatever has changed, in this order.
func core() []Test {
	return []Test{
		{scenarios, "TestByTheDocs"},
		{scenarios, "TestHostLoss"},
		{scenarios, "TestFencing"},
		{scenarios, "TestMove"},
	}
}

// A planned test knows why it has its place in the order.
type planned struct {
	Test
	why reason
}

type reason string

const (
	isCore    reason = "core"
	isReached reason = "reached by a change"
	isDrawn   reason = "drawn by the commit"
)

// order puts the core first, then what a change reaches, then the rest. Within
// the latter two the commit draws the order, so that over many commits each test
// is early sometimes.
func order(tests []Test, reached func(Test) bool, commit string) []planned {
	rank := func(p planned) int { return slices.Index([]reason{isCore, isReached, isDrawn}, p.why) }
	draw := func(p planned) string {
		sum := sha256.Sum256([]byte(commit + " " + p.String()))
		return string(sum[:])
	}
	var all []planned
	for _, t := range tests {
		switch {
		case slices.Contains(core(), t):
			all = append(all, planned{t, isCore})
		case reached(t):
			all = append(all, planned{t, isReached})
		default:
			all = append(all, planned{t, isDrawn})
		}
	}
	slices.SortFunc(all, func(a, b planned) int {
		if a.why == isCore && b.why == isCore {
			return cmp.Compare(slices.Index(core(), a.Test), slices.Index(core(), b.Test))
		}
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(draw(a), draw(b)))
	})
	return all
}

// longestFirst orders the tests so that several at a time end soon together: a
// long one that begins last is waited for alone.
func (q *queue) longestFirst() {
	slices.SortStableFunc(q.waiting, func(a, b planned) int { return cmp.Compare(q.estimate(b.Test), q.estimate(a.Test)) })
}

// total is what all of the waiting tests take, one after the other.
func (q *queue) total() (sum time.Duration) {
	for _, p := range q.waiting {
		sum += q.estimate(p.Test)
	}
	return sum
}

// A queue hands out tests as long as they fit into the time that is left. It is
// safe for concurrent use.
type queue struct {
	mu              sync.Mutex
	waiting         []planned
	known           map[Test]fact
	expected, spent time.Duration // of the tests that have ended
}

func newQueue(tests []planned, known map[Test]fact) *queue {
	return &queue{waiting: tests, known: known}
}

// next takes the first test that is expected to end within left; one of the core
// is taken while there is any time at all.
func (q *queue) next(left time.Duration) (planned, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, p := range q.waiting {
		if left > 0 && p.why == isCore || left == unbounded || q.expect(p.Test) <= left {
			q.waiting = slices.Delete(q.waiting, i, i+1)
			return p, true
		}
	}
	return planned{}, false
}

// expect is what the test takes on a machine as fast as this one has been.
func (q *queue) expect(t Test) time.Duration {
	takes := q.estimate(t)
	if q.expected == 0 {
		return takes
	}
	return time.Duration(float64(takes) * float64(q.spent) / float64(q.expected))
}

func (q *queue) estimate(t Test) time.Duration { return cmp.Or(q.known[t].takes, usually) }

// took records how long a test took, which says how fast this machine is.
func (q *queue) took(t Test, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expected += q.estimate(t)
	q.spent += d
}

// rest returns what was not handed out.
func (q *queue) rest() []planned {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.waiting)
}
