package twin

import (
	"context"
	"time"

	"salvor/internal/lab/twin/remote"
)

var noFaults remote.Faults

// Tally counts what happened in worlds.
type Tally struct {
	Worlds, Steps, Faults, Kills int
}

// pass lets time go by, in which stacks write.
func (w *world) pass(d time.Duration) {
	for range 3 {
		time.Sleep(d / 3)
		w.write()
	}
}

// run has an operator run one command.
func (o *operator) run(what string, killAt int, work func(context.Context, *command) error) error {
	p, ctx := newProcess(o.w.ctx, o.name+" "+what, nil)
	p.killAt = killAt
	defer p.cancel()
	c, err := o.open(p)
	if err == nil {
		err = work(o.w.marked(ctx, p), c)
	}
	o.w.note("%s: %s: %v", o.name, what, err)
	return err
}
