package twin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"salvor/internal/git"
	"salvor/internal/lab/twin/remote"
	"salvor/internal/recovery"
)

// Tally counts what happened in worlds.
type Tally struct {
	Worlds, Commands, Faults, Kills int
}

// Add adds what happened in other worlds.
func (t *Tally) Add(o Tally) {
	t.Worlds, t.Commands, t.Faults, t.Kills = t.Worlds+o.Worlds, t.Commands+o.Commands, t.Faults+o.Faults, t.Kills+o.Kills
}

// calm is how long nothing goes wrong before something is asked for again: hosts have
// looked by then, and daemons have started what may run.
const calm = 70 * time.Second

// A step is something that an operator wants done. It can be asked for again.
type step struct {
	what   string
	stacks []string // that it may change; none for a command that changes no placement and no data
	work   func(context.Context, *command) error
	done   func()           // is called once it has succeeded, nil for nothing
	may    func(error) bool // reports whether the step may fail permanently, nil for never
}

// placed is the step where the stack is placed.
func (s step) placed(stack string) step {
	work := s.work
	s.work = func(ctx context.Context, c *command) error {
		if _, placed := c.lock.Placement(stack); !placed {
			return errNothing
		}
		return work(ctx, c)
	}
	if s.may == nil {
		s.may = nothing
	}
	return s
}

// A driver has operators want things of a world, and things go wrong in it.
type driver struct{ *world }

// drive makes one world continue until it ends.
func (w driver) drive() error {
	alice, bob := &operator{w: w.world, name: "alice", clone: w.git.Clone()}, &operator{w: w.world, name: "bob", clone: w.git.Clone()}
	if w.chance(4) {
		w.goWrong()
	}
	_ = alice.do(w.apply(), 0, false)
	if err := w.heal(); err != nil {
		return err
	}
	for range 3 + w.pick(4) {
		w.pass(time.Duration(10+w.pick(60)) * time.Second)
		o, other := alice, bob
		if w.chance(3) {
			o, other = bob, alice
		}
		if err := w.next(o, other); err != nil {
			return err
		}
		w.search()
	}
	return w.settle(alice)
}

// next has something happen.
func (w driver) next(o, other *operator) error {
	switch w.pick(12) {
	case 0:
		return w.accident()
	case 1, 2:
		return w.race(o, other)
	}
	return w.converge(o, w.anything())
}

// anything is a step that chance picks.
func (w driver) anything() step {
	stack := w.stacks[w.pick(len(w.stacks))]
	switch w.pick(14) {
	case 0, 1, 2, 3:
		return w.snapshot(stack).placed(stack)
	case 4:
		return w.apply()
	case 5, 6:
		return w.deploy(stack)
	case 7, 8, 9:
		return w.move(stack).placed(stack)
	case 10:
		return w.rollback(stack).placed(stack)
	case 11:
		return w.restore(stack).placed(stack)
	}
	return w.recovery()
}

// converge has an operator do a step while things go wrong, and then again while
// nothing does: at the latest then it has to succeed.
func (w driver) converge(o *operator, s step) error {
	w.goWrong()
	kill := 0
	if w.chance(3) {
		kill = 1 + w.pick(60)
	}
	err := o.do(s, kill, w.chance(8))
	w.pass(time.Duration(w.pick(40)) * time.Second)
	if w.chance(4) { // what went wrong stays a while
		return nil
	}
	if healed := w.heal(); healed != nil {
		return healed
	}
	if err == nil {
		return nil
	}
	w.pass(calm)
	for range 2 {
		if err = o.do(s, 0, false); errors.Is(err, recovery.ErrAlive) {
			s = w.apply() // the host that was lost is back: what is placed by now is applied
			err = o.do(s, 0, false)
		}
		if err == nil || s.may != nil && s.may(err) || w.unsaved(err) {
			return nil
		}
		if unfinished(err) {
			_ = o.do(w.apply(), 0, false)
		}
		w.pass(calm)
	}
	w.broken(lawConverges, "%s: %s: %v", o.name, s.what, err)
	return nil
}

// unfinished reports whether an error is that a command before this one was interrupted:
// an apply finishes that one.
func unfinished(err error) bool {
	return strings.Contains(err.Error(), "is not placed on") || strings.Contains(err.Error(), "is not ready here")
}

// unsaved reports whether an error is that data is on another host alone, because its
// stack was taken elsewhere before it had a snapshot: a person says what becomes of it.
func (w *world) unsaved(err error) bool {
	if err == nil || len(w.stacks) == saved(w.remote) {
		return false
	}
	text := err.Error()
	return strings.Contains(text, "there is no snapshot of it") || strings.Contains(text, "is not in any snapshot") || strings.Contains(text, "so there is nothing to take")
}

// saved is how many stacks have a snapshot on the remote.
func saved(r *remote.Remote) int {
	found := map[string]bool{}
	r.Search(func(path string, _ []byte) {
		if rest, ok := strings.CutPrefix(path, dataPath+"/"); ok && strings.Contains(rest, "/snapshots/") {
			stack, _, _ := strings.Cut(rest, "/")
			found[stack] = true
		}
	})
	return len(found)
}

// race has two operators do something at once.
func (w driver) race(o, other *operator) error {
	w.goWrong()
	steps := []step{w.anything(), w.anything()}
	errs := make([]error, 2)
	var both sync.WaitGroup
	w.racing++
	for i, one := range []*operator{o, other} {
		both.Go(func() { errs[i] = one.do(steps[i], 0, false) })
	}
	both.Wait()
	w.racing--
	if err := w.heal(); err != nil {
		return err
	}
	w.pass(calm)
	return w.converge(o, w.apply())
}

// do runs a step as an operator does: with the newest commit, unless it was not looked
// for, and once more where another one was faster.
func (o *operator) do(s step, kill int, stale bool) error {
	o.w.begin(s.stacks)
	defer o.w.begin(s.stacks)
	boots := o.w.boots()
	if !stale {
		_ = o.run("pull", 0, func(ctx context.Context, c *command) error { return o.pull(ctx, c.p) })
	}
	err := o.run(s.what, kill, s.work)
	if errors.Is(err, git.ErrDiverged) {
		_ = o.run("pull", 0, func(ctx context.Context, c *command) error { return o.pull(ctx, c.p) })
		err = o.run(s.what, 0, s.work)
	}
	if err != nil && strings.TrimSpace(err.Error()) == "" {
		o.w.broken(lawReason, "%s: %s: an error without a word", o.name, s.what)
	}
	if err == nil {
		if s.done != nil {
			s.done()
		}
		if o.w.racing == 0 {
			o.w.asSaid(o, s, boots)
		}
	}
	return err
}

// run has an operator run one command, which is killed at a call, 0 for none.
func (o *operator) run(what string, kill int, work func(context.Context, *command) error) error {
	p, ctx := newProcess(o.w.ctx, o.name+" "+what, nil)
	p.killAt = kill
	defer p.cancel()
	c, err := o.open(p)
	if err == nil {
		err = work(o.w.marked(ctx, p), c)
	}
	o.w.count(func(t *Tally) {
		t.Commands++
		if p.killed() {
			t.Kills++
		}
	})
	if p.killed() {
		what += ", killed at " + p.at
	}
	o.w.note("%s: %s: %v", o.name, what, err)
	return err
}

func (w *world) count(change func(*Tally)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.tally)
}

// boots is how often hosts were powered on, to tell whether one was meanwhile.
func (w *world) boots() map[string]int {
	all := map[string]int{}
	for _, h := range w.hosts {
		h.mu.Lock()
		all[h.name] = h.boots
		h.mu.Unlock()
	}
	return all
}

// asSaid checks that a step which succeeded did what it is for: every stack that it was
// about runs where it is placed.
func (w *world) asSaid(o *operator, s step, before map[string]int) {
	lock, err := lockOf(o.clone.Files())
	if err != nil {
		w.broken(lawReason, "%s: %v", s.what, err)
		return
	}
	boots := w.boots()
	for _, stack := range s.stacks {
		h := w.host(lock.Stacks[stack].Host)
		if h == nil || boots[h.name] != before[h.name] || !h.powered() {
			continue
		}
		if !h.runs(stack) {
			w.broken(lawReason, "%s says that all is well, and %s does not run on %s", s.what, stack, h.name)
			continue
		}
		w.kept(h, stack, "has")
	}
}

// pass lets time go by, in which stacks write.
func (w *world) pass(d time.Duration) {
	for range 3 {
		<-time.After(d / 3)
		w.write()
	}
}

// settle ends a world: nothing goes wrong any more, and after one more apply nothing is
// left to do.
func (w *world) settle(o *operator) error {
	if err := w.heal(); err != nil {
		return err
	}
	w.pass(2 * calm)
	if err := o.do(w.apply(), 0, false); err != nil {
		if err = o.do(w.apply(), 0, false); err != nil {
			if !w.unsaved(err) {
				w.broken(lawConverges, "the last apply: %v", err)
			}
			return nil
		}
	}
	if w.finishRestores(o) {
		if err := o.do(w.apply(), 0, false); err != nil {
			w.broken(lawConverges, "the apply after a restore: %v", err)
		}
	}
	_ = o.run("plan", 0, func(ctx context.Context, c *command) error {
		settled, text, err := c.settled(ctx)
		if err != nil || !settled {
			w.broken(lawConverges, "after an apply something is left to do: %v\n%s", err, text)
		}
		return err
	})
	w.write()
	w.search()
	return nil
}

// finishRestores does what the plan says where a restore failed: it is asked for again, or
// withdrawn where its snapshot is gone. It reports whether there was one.
func (w *world) finishRestores(o *operator) (asked bool) {
	for _, stack := range w.stacks {
		err := o.run("restore "+stack+" again", 0, func(ctx context.Context, c *command) error {
			wish := c.lock.Stacks[stack].Restore
			if wish == nil {
				return nil
			}
			asked = true
			ids, err := c.snapshots(ctx, stack)
			switch {
			case err != nil:
				return err
			case !slices.Contains(ids, wish.Snapshot):
				return c.withdraw(ctx, stack)
			}
			return c.restore(ctx, stack, wish.Snapshot)
		})
		if err != nil {
			w.broken(lawConverges, "the restore of %s that failed: %v", stack, err)
		}
	}
	return asked
}

// accident is something that happens to a host while no command runs.
func (w *world) accident() error {
	h := w.hosts[w.pick(len(w.hosts))]
	w.count(func(t *Tally) { t.Faults++ })
	switch w.pick(3) {
	case 0:
		h.powerOff()
		w.pass(calm)
		return h.powerOn()
	case 1:
		h.killDaemon()
	case 2:
		w.setCut(h, true)
		w.pass(time.Duration(20+w.pick(100)) * time.Second)
		w.setCut(h, false)
	}
	w.pass(calm)
	return nil
}

// goWrong has something go wrong from now on, or at a call that is still to come; most
// of the time one thing, sometimes none or two.
func (w driver) goWrong() {
	for range w.pick(3) {
		w.count(func(t *Tally) { t.Faults++ })
		h := w.hosts[w.pick(len(w.hosts))]
		switch w.pick(10) {
		case 0, 1:
			h.mu.Lock()
			h.cutAt = h.calls + 1 + w.pick(250)
			h.mu.Unlock()
			w.note("power of %s will be cut", h.name)
		case 2:
			h.killDaemon()
			w.note("the daemon of %s is killed", h.name)
		case 3:
			w.setCut(h, true)
		case 4:
			w.setAway("git", true)
		case 5:
			w.setAway("remote", true)
		default:
			f := w.faults()
			w.remote.Set(f)
			w.note("the remote: %+v", f)
		}
	}
}

func (w driver) faults() remote.Faults {
	switch w.pick(7) {
	case 0:
		return remote.Faults{Slow: time.Duration(100+w.pick(400)) * time.Millisecond}
	case 1:
		return remote.Faults{Late: time.Duration(1+w.pick(25)) * time.Second}
	case 2:
		return remote.Faults{Full: true}
	case 3:
		return remote.Faults{Cut: 1 + w.pick(80)}
	case 4:
		return remote.Faults{Lame: 1 + w.pick(12)}
	case 5:
		return remote.Faults{Rot: 1 + w.pick(12)}
	}
	return remote.Faults{Torn: 1 + w.pick(4)}
}
