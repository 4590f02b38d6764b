package twin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"salvor/internal/recovery"
)

var errNothing = errors.New("there is nothing to do that with")

func nothing(err error) bool { return errors.Is(err, errNothing) }

func (w *world) apply() step {
	return step{what: "apply", stacks: w.stacks, work: func(ctx context.Context, c *command) error { return c.apply(ctx) }}
}

// snapshot takes one. What it holds at least is what the volume holds before it begins.
func (w driver) snapshot(stack string) step {
	return step{what: "snapshot take " + stack, work: func(ctx context.Context, c *command) error {
		h := w.host(c.lock.Stacks[stack].Host)
		w.mu.Lock()
		changes := w.truth.changing[stack]
		w.mu.Unlock()
		held := h.data(stack)
		id, err := c.take(ctx, stack)
		if err == nil {
			w.acknowledged(stack, id, held, changes)
		}
		return err
	}, may: nothing}
}

// deploy commits another version, and applies it.
func (w driver) deploy(stack string) step {
	version := w.pick(versions - 1)
	return step{what: fmt.Sprintf("edit and apply %s:%d", stack, version+1), stacks: w.stacks, work: func(ctx context.Context, c *command) error {
		if c.declared.Stacks[stack].Version != version {
			if err := c.edit(ctx, stack, version); err != nil {
				return err
			}
			next, err := c.open(c.p)
			if err != nil {
				return err
			}
			c = next
		}
		return c.apply(ctx)
	}}
}

func (w driver) move(stack string) step {
	to := w.hosts[w.pick(len(w.hosts))].name
	return step{what: "move " + stack + " --to " + to, stacks: []string{stack}, work: func(ctx context.Context, c *command) error { return c.move(ctx, stack, to) }}
}

// recovery has a host be lost, or seem so, and its stacks taken over by another.
func (w driver) recovery() step {
	i := w.pick(len(w.hosts))
	lost, to := w.hosts[i], w.hosts[(i+1+w.pick(len(w.hosts)-1))%len(w.hosts)]
	if w.chance(2) {
		lost.powerOff()
	} else {
		w.setCut(lost, true)
	}
	w.count(func(t *Tally) { t.Faults++ })
	return step{what: "recover " + lost.name + " --to " + to.name, stacks: w.stacks, work: func(ctx context.Context, c *command) error {
		if len(c.lock.On(lost.name)) == 0 && len(c.lock.On(to.name)) == 0 {
			return errNothing
		}
		return c.recover(ctx, lost.name, to.name)
	}, may: func(err error) bool { return nothing(err) || errors.Is(err, recovery.ErrAlive) }}
}

// restore goes back to the oldest snapshot that was taken by hand and is still there.
// Asked again it continues where the host has not done it meanwhile.
func (w driver) restore(stack string) step {
	id := ""
	return step{what: "restore " + stack, stacks: []string{stack}, work: func(ctx context.Context, c *command) error {
		if id == "" {
			chosen, err := c.oldest(ctx, stack)
			if err != nil {
				return err
			}
			id = chosen
			w.goesBack(stack, id, false)
		} else if ids, err := c.snapshots(ctx, stack); err != nil {
			return err
		} else if !slices.Contains(ids, id) { // it was done, and the snapshot is too old to be kept by now
			return cmp.Or(c.apply(ctx), errNothing)
		}
		return c.restore(ctx, stack, id)
	}, done: func() { w.goesBack(stack, id, true) }, may: nothing}
}

// oldest is the oldest snapshot of which is known what it holds.
func (c *command) oldest(ctx context.Context, stack string) (string, error) {
	ids, err := c.snapshots(ctx, stack)
	if err != nil {
		return "", err
	}
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	for _, id := range ids {
		if _, known := c.w.truth.snapshots[stack][id]; known {
			return id, nil
		}
	}
	return "", errNothing
}

// rollback goes back to the other version, with its data where a snapshot is known.
func (w driver) rollback(stack string) step {
	id, version, withData := "", -1, w.chance(2)
	return step{what: "rollback " + stack, stacks: []string{stack}, work: func(ctx context.Context, c *command) error {
		if version < 0 {
			version = (c.declared.Stacks[stack].Version + 1) % (versions - 1)
		} else if c.declared.Stacks[stack].Version == version {
			return c.apply(ctx) // it is committed: that finishes it
		}
		if withData && id == "" {
			chosen, err := c.oldest(ctx, stack)
			if err != nil {
				return err
			}
			id = chosen
			w.goesBack(stack, id, false)
		}
		return c.rollback(ctx, stack, version, id)
	}, done: func() {
		if id != "" {
			w.goesBack(stack, id, true)
		}
	}, may: nothing}
}
