package ownership

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/record"
)

// A Guard finds out whether this host still owns its stacks, and stops those that it
// has lost. It keeps the record remote open and remembers what Git and the claims
// said, so that one look after another is cheap. One look runs at a time, and what it
// found can be asked and watched meanwhile. Close it when done.
type Guard struct {
	h      *here.Host
	within time.Duration // what a look may take

	looking chan struct{} // has one for the length of a look, which guards what follows
	rec     *here.Record  // nil: to be opened
	opened  string        // what rec was opened with
	began   time.Time     // when rec was opened
	view    *record.View
	git     gitSight
	asked   time.Time // when Git was asked last

	mu      sync.Mutex // guards what follows
	metered bool       // the record remote that was opened last counts calls
	newest  sights
	said    map[string]record.State // by stack, of the newest verdict
	changed chan struct{}           // closed when said changes
}

// sights are what one look saw.
type sights struct {
	began  time.Time
	key    string   // this host's recipient
	names  []string // of the stacks that were looked at
	git    gitSight
	claims map[string]record.Claimed
}

// AskWithin bounds a look that something waits for: a host that installs packages
// and brings data back is slow to reach out. The watch keeps to the lease.
const AskWithin = 20 * time.Second

// New returns a guard that has not looked yet; a look takes at most within.
func New(h *here.Host, within time.Duration) *Guard {
	return &Guard{h: h, within: within, git: unreached(), looking: make(chan struct{}, 1), changed: make(chan struct{})}
}

// Close ends the connection to the record remote.
func (g *Guard) Close(ctx context.Context) {
	g.looking <- struct{}{}
	defer func() { <-g.looking }()
	g.drop(ctx)
}

// drop gives up a remote that may hang, without waiting for it.
func (g *Guard) drop(ctx context.Context) {
	if g.rec != nil {
		go g.rec.Close(ctx) // nothing was written
	}
	g.rec, g.view = nil, nil
}

// Verdicts looks once, for each stack of spec. What does not answer in time is part
// of the verdict, not an error.
func (g *Guard) Verdicts(ctx context.Context, spec agentapi.Host) map[string]record.Verdict {
	var names []string
	for _, st := range spec.Stacks {
		names = append(names, st.Name)
	}
	if len(names) == 0 {
		return map[string]record.Verdict{}
	}
	return g.since(ctx, spec, names, time.Now())
}

// recently is how old a look may be that others rely on, too: stacks that start at
// once, objects that are deleted one after another.
const recently = 2 * time.Second

// Verdict returns what holds for a stack, by a look not older than recently.
func (g *Guard) Verdict(ctx context.Context, s *here.Stack) record.Verdict {
	return g.notOlder(ctx, s, recently)
}

// Now returns what holds for a stack by a look that begins now.
func (g *Guard) Now(ctx context.Context, s *here.Stack) record.Verdict { return g.notOlder(ctx, s, 0) }

// Recent returns what holds for a stack by a look not older than the lease allows: in
// the daemon, where the watch looks all the time, that is one which was made already.
func (g *Guard) Recent(ctx context.Context, s *here.Stack) record.Verdict {
	return g.notOlder(ctx, s, g.Lease().Every+g.h.Lease.Within)
}

// Lease is what holds for the record remote that was looked at last.
func (g *Guard) Lease() agentapi.Lease {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.h.Lease.On(g.metered)
}

// pause is how long after a look the next one begins. A remote that did not answer counts
// no calls, and is asked again soon.
func (g *Guard) pause() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.h.Lease.On(g.metered && g.newest.claims != nil).Every
}

func (g *Guard) notOlder(ctx context.Context, s *here.Stack, age time.Duration) record.Verdict {
	if s.IsOwn() {
		return record.Verdict{MayChange: true} // no other host can have it
	}
	g.mu.Lock()
	names := g.newest.names
	g.mu.Unlock()
	if !slices.Contains(names, s.Name) {
		names = append(slices.Clone(names), s.Name) // the others cost no calls
	}
	return g.since(ctx, s.Spec, names, time.Now().Add(-age))[s.Name]
}

// MayChange returns an error when this host may not change what is outside it for a
// stack.
func (g *Guard) MayChange(ctx context.Context, s *here.Stack) error {
	if v := g.Verdict(ctx, s); !v.MayChange {
		return fmt.Errorf("%s has no right to change the snapshots of %s: %s", s.Spec.Name, s.Name, v.Reason)
	}
	return nil
}

// NotLost returns why a stack is known to be another host's. Silence is not a
// reason: the caller had the right to change when it began. Neither is a placement that
// is not claimed: a host that hands the stack over may need to repair what it adds to.
func (g *Guard) NotLost(ctx context.Context, s *here.Stack) error {
	if v := g.Verdict(ctx, s); v.State == record.Lost && !v.Unclaimed {
		return fmt.Errorf("%s has no right to change the snapshots of %s: %s", s.Spec.Name, s.Name, v.Reason)
	}
	return nil
}

// Changed returns a channel that is closed once a look says something else of whose
// a stack is.
func (g *Guard) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

// since judges by a look at these stacks that began after a time: the newest one or,
// where that is older, a look of its own.
func (g *Guard) since(ctx context.Context, spec agentapi.Host, names []string, earliest time.Time) map[string]record.Verdict {
	if all, ok := g.known(spec.Name, names, earliest); ok {
		return all
	}
	g.looking <- struct{}{}
	defer func() { <-g.looking }()
	if all, ok := g.known(spec.Name, names, earliest); ok { // by the look of who had the lock
		return all
	}
	ctx, cancel := context.WithTimeout(ctx, g.within)
	defer cancel()
	seen := g.look(ctx, spec, names)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.newest = seen
	all := g.judge(spec.Name, names)
	g.publish(all)
	return all
}

func (g *Guard) known(host string, names []string, earliest time.Time) (map[string]record.Verdict, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.newest.began.After(earliest) || slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(g.newest.names, name) }) {
		return nil, false
	}
	return g.judge(host, names), true
}

// publish notes what a look said. g.mu is held.
func (g *Guard) publish(all map[string]record.Verdict) {
	said := map[string]record.State{}
	for name, v := range all {
		said[name] = v.State
	}
	if !maps.Equal(g.said, said) {
		close(g.changed)
		g.said, g.changed = said, make(chan struct{})
	}
}

// judge says what the newest look means, with what the host remembers of these stacks
// now. g.mu is held: the copy of the control repository is for one at a time.
func (g *Guard) judge(host string, names []string) map[string]record.Verdict {
	all, key, git := map[string]record.Verdict{}, g.newest.key, g.newest.git
	for _, name := range names {
		local, claims := g.h.Local(name), g.newest.claims[name]
		here := record.Local{Host: host, Key: key, Epoch: local.Epoch, Lost: local.Lost}
		v := record.Decide(here, git.placement(name), ruling(claims, git.contains))
		v.Ignored = claims.Ignored
		all[name] = v
	}
	return all
}

// ruling is what a stack's claims say. A stack that was not looked at is not reached.
func ruling(c record.Claimed, onBranch record.OnBranch) record.OnRecord {
	if !c.Read {
		return record.OnRecord{}
	}
	return record.OnRecord{Reached: true, Ruling: record.Rule(c.Claims, onBranch)}
}

// patience is how long the record remote gets to answer before Git is asked too.
const patience = 2 * time.Second

// look asks the record remote, and Git where that is due, or the record remote does
// not answer soon.
func (g *Guard) look(ctx context.Context, spec agentapi.Host, names []string) sights {
	seen := sights{began: time.Now(), key: g.h.Recipient(), names: names, git: g.git}
	due := g.asked.IsZero() || time.Since(g.asked) >= g.h.Lease.Git
	answered, failed := make(chan struct{}), make(chan struct{})
	var both sync.WaitGroup
	both.Go(func() {
		var all bool
		if seen.claims, all = g.askRecord(ctx, spec, names); all {
			close(answered)
		} else {
			close(failed)
		}
	})
	if !due {
		select {
		case <-answered:
			both.Wait()
			return seen
		case <-failed:
		case <-time.After(patience):
		}
	}
	asked := g.askGit(ctx, spec)
	both.Wait()
	seen.git, g.git, g.asked = asked, asked, time.Now()
	return seen
}

// askRecord reads the claims of every stack, with one listing, and reports whether
// all of them could be read.
func (g *Guard) askRecord(ctx context.Context, spec agentapi.Host, names []string) (map[string]record.Claimed, bool) {
	if err := g.open(ctx, spec); err != nil {
		return nil, false
	}
	claims, err := g.view.Look(ctx, names...)
	for _, c := range claims {
		if !c.Read {
			err = cmp.Or(err, errors.New("not all claims could be read"))
		}
	}
	if at, moved, markErr := g.rec.Moved(ctx); moved || markErr != nil {
		// claims may be made elsewhere by now; the next look follows
		claims, err = nil, cmp.Or(markErr, fmt.Errorf("the record is now at %s", here.LocationText(at)))
	}
	if err != nil || unclaimed(claims) {
		g.drop(ctx) // whatever hangs there, or was made again elsewhere, the next look begins afresh
	}
	return claims, err == nil
}

// unclaimed reports whether there is nothing at all that claims one of the stacks.
func unclaimed(claims map[string]record.Claimed) bool {
	for _, c := range claims {
		if len(c.Claims)+len(c.Ignored) == 0 {
			return true
		}
	}
	return false
}

// reopenAfter is how long the record remote stays open. Some remotes remember where folders
// are, and do not see that one was moved away and made again.
const reopenAfter = 5 * time.Minute

// keep notes what was just opened. What is known of the claims stays known where the seals
// are the same: their names say which they are.
func (g *Guard) keep(with string, known *record.View) {
	if known == nil || g.opened != with {
		known = g.rec.View()
	}
	g.opened, g.began, g.view = with, time.Now(), known.Of(g.rec.Record)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.metered = g.rec.Metered
}

// open has the record remote open, through the first seal that opens: all of them
// lead to the same one. It stays open while the seals are the same.
func (g *Guard) open(ctx context.Context, spec agentapi.Host) error {
	with := fmt.Sprint(spec.Record)
	for _, st := range spec.Stacks {
		with += fmt.Sprintf(" %x", sha256.Sum256(st.Sealed))
	}
	if g.rec != nil && g.opened == with && time.Since(g.began) < reopenAfter {
		return nil
	}
	view := g.view
	g.drop(ctx)
	errs := []error{fmt.Errorf("no sealed file on %s says how to reach the record remote", spec.Name)}
	for _, st := range spec.Stacks {
		s, err := g.h.At(spec, st).Open()
		if err == nil {
			g.rec, err = s.Access.Record(ctx, spec.Record)
		}
		if err == nil {
			g.keep(with, view)
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
