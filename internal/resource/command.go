package resource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/converge"
	"salvor/internal/machine"
	"salvor/internal/machine/observe"
)

// A Command is what no other kind can say: a program that runs when its guard
// says so. The guard is a read-only check that ends with 0 when all is right
// and with 1 when the command is needed; any other end is an error. After the
// command the guard must be satisfied.
type Command struct {
	Name     string
	Guard    []string
	Argv     []string
	Cause    string // what an unsatisfied guard means: "the key is not loaded"
	Destroys string
	Timeout  time.Duration // one minute by default
	Needs    []string
}

var _ converge.Resource = Command{}

// ID returns "command NAME".
func (c Command) ID() string { return "command " + c.Name }

// Links returns the needs.
func (c Command) Links() converge.Links { return converge.Links{Needs: c.Needs} }

// Diff asks the guard. A guard whose program is not there yet means needed: a
// package that comes first may bring it.
func (c Command) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	cause, err := c.needed(ctx, h)
	if err != nil || cause == "" {
		return nil, err
	}
	return &converge.Change{Action: converge.Changes, Cause: cause, Destroys: c.Destroys, Apply: quietly(func(ctx context.Context) error {
		timeout := c.Timeout
		if timeout == 0 {
			timeout = quick
		}
		if _, err := h.Run(ctx, machine.Cmd{Argv: c.Argv, Timeout: timeout}); err != nil {
			return err
		}
		still, err := c.needed(ctx, h)
		if err == nil && still != "" {
			err = fmt.Errorf("ran, but still %s", still)
		}
		return err
	})}, nil
}

// needed returns why the command is needed, "" when it is not. env(1) ends with
// 127 for a program that is not there.
func (c Command) needed(ctx context.Context, m machine.Machine) (cause string, err error) {
	err = run(ctx, m, append([]string{"env"}, c.Guard...)...)
	if exit, ok := errors.AsType[*machine.ExitError](err); ok {
		switch exit.Code {
		case 1:
			return c.Cause, nil
		case 127:
			return c.Guard[0] + " is not there yet", nil
		}
	}
	return "", err
}
