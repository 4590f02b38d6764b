package keeper

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/runlock"
	"salvor/internal/snapshot"
)

// Quiet holds a stack still for a snapshot and runs programs in it.
type Quiet struct {
	Host  *here.Host
	Stack string
	Stops []string // services that are stopped, not paused
}

// Quiescer returns what resumes one stack, and pauses all of it.
func (k *Keeper) Quiescer(stack string) snapshot.Quiescer { return Quiet{Host: k.Host, Stack: stack} }

// stoppedMark begins what is recorded of a container that is stopped: of one that is paused, its id is.
const stoppedMark = "stopped:"

// pauseTries is how often a pause is tried: the kernel's version 1 freezer gives
// up on a container whose processes wait for the disk all the time.
const pauseTries = 4

// Pause implements snapshot.Quiescer. Where it fails, everything continues as it was. What is stopped is
// so before the rest is paused: until it ends it may need the others.
func (q Quiet) Pause(ctx context.Context, record func([]string) error) error {
	ids, err := q.Host.Stacks.RunningOf(ctx, q.Stack, q.Stops)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return q.pause(ctx, record)
	}
	var stopped []string
	for _, id := range ids {
		stopped = append(stopped, stoppedMark+id)
	}
	if err = record(stopped); err == nil {
		err = q.Host.Stacks.StopSome(ctx, ids...)
	}
	if err == nil {
		err = q.pause(ctx, func(paused []string) error { return record(slices.Concat(stopped, paused)) })
	}
	if err != nil {
		err = errors.Join(err, q.Host.Stacks.StartSome(context.WithoutCancel(ctx), ids...))
	}
	return err
}

func (q Quiet) pause(ctx context.Context, record func([]string) error) error {
	var err error
	for range pauseTries {
		var frozen []string
		if frozen, err = q.freeze(ctx, record); err == nil {
			return nil
		}
		if uerr := q.Host.Stacks.Unpause(context.WithoutCancel(ctx), frozen...); uerr != nil {
			return errors.Join(err, uerr)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return err
}

// freeze pauses what runs, and looks again for what began to run meanwhile. It
// returns what it has paused or tried to.
func (q Quiet) freeze(ctx context.Context, record func([]string) error) ([]string, error) {
	var frozen []string
	for range pauseTries {
		found, err := q.Host.Stacks.Running(ctx, q.Stack)
		// a service that keeps failing is caught running again and again
		if err != nil || len(found) == 0 {
			return frozen, err
		}
		for _, id := range found {
			if !slices.Contains(frozen, id) {
				frozen = append(frozen, id)
			}
		}
		if err := record(frozen); err != nil {
			return frozen, err
		}
		if err := q.Host.Stacks.Pause(ctx, found...); err != nil {
			return frozen, err
		}
	}
	return frozen, nil
}

// Unpause implements snapshot.Quiescer.
func (q Quiet) Unpause(ctx context.Context, held ...string) error {
	var paused, stopped []string
	for _, one := range held {
		if id, is := strings.CutPrefix(one, stoppedMark); is {
			stopped = append(stopped, id)
		} else {
			paused = append(paused, one)
		}
	}
	if len(held) == 0 {
		var err error
		if paused, err = q.Host.Stacks.Paused(ctx, q.Stack); err != nil {
			return err
		}
	}
	err := q.Host.Stacks.Unpause(ctx, paused...)
	return errors.Join(err, q.Host.Stacks.StartSome(ctx, stopped...)) // after what they need
}

// Started implements snapshot.Quiescer.
func (q Quiet) Started(ctx context.Context, since time.Time) ([]string, error) {
	return q.Host.Stacks.Started(ctx, q.Stack, since, q.Stops)
}

// Exec implements snapshot.Runner.
func (q Quiet) Exec(ctx context.Context, c snapshot.Command) error {
	return q.Host.Exec(ctx, q.Stack, c)
}

// Resume makes every stack continue that a snapshot left paused when its process
// died. One that a living snapshot holds is left to it, unless that is frozen itself.
// It may be called at any time.
func (k *Keeper) Resume(ctx context.Context) error {
	all, err := snapshot.AllPaused(k.Snapshots.Dirs)
	errs := []error{err}
	for _, p := range all {
		errs = append(errs, k.resume(ctx, p))
	}
	return errors.Join(append(errs, owed{k}.runAll(ctx))...)
}

// owed runs the hooks after snapshots that were killed.
type owed struct{ *Keeper }

func (k owed) runAll(ctx context.Context) error {
	stacks, err := snapshot.OwedHooks(k.Snapshots.Dirs)
	errs := []error{err}
	for _, stack := range stacks {
		errs = append(errs, k.run(ctx, stack))
	}
	return errors.Join(errs...)
}

func (k owed) run(ctx context.Context, stack string) error {
	lock, err := runlock.Acquire(k.Paths.Run, here.StackLock(stack), runlock.Holder{Owner: here.Daemon, Message: "hooks", Since: time.Now().UTC()})
	if errors.As(err, new(*runlock.HeldError)) {
		return nil // its snapshot lives, or it is changed now
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	if running, err := k.Stacks.Running(ctx, stack); err != nil || len(running) == 0 {
		return err
	}
	found, err := k.Snapshots.RunOwed(ctx, stack, Quiet{Host: k.Host, Stack: stack})
	placed, perr := k.Placed(stack)
	if len(found) == 0 || perr != nil || len(placed.Targets) == 0 {
		return err
	}
	first := placed.Targets[0].Name // its next turn ends them
	return errors.Join(err, k.ChangeCondition(stack, first, func(on *OnTarget) { on.Findings = append(on.Findings, found...) }))
}

func (k *Keeper) resume(ctx context.Context, p snapshot.Paused) error {
	lock, err := runlock.Acquire(k.Paths.Run, here.StackLock(p.Stack), runlock.Holder{Owner: here.Daemon, Message: "resume", Since: time.Now().UTC()})
	held := errors.As(err, new(*runlock.HeldError))
	switch {
	case held && !p.Overdue:
		return nil
	case err != nil && !held:
		return err
	case !held:
		defer lock.Release()
	}
	return snapshot.Resume(ctx, k.Snapshots.Dirs, p.Stack, Quiet{Host: k.Host, Stack: p.Stack}, held)
}

// Unfreeze makes a stack continue that a snapshot left paused. The caller holds the
// stack's lock, so no living snapshot does.
func (k *Keeper) Unfreeze(ctx context.Context, stack string) error {
	return snapshot.Resume(ctx, k.Snapshots.Dirs, stack, k.Quiescer(stack), false)
}

// FrozenFindings say which stacks are paused, unless a snapshot does it for a moment.
func (k *Keeper) FrozenFindings(host string, stacks []agentapi.StackState) ([]finding.Finding, error) {
	recorded, err := snapshot.AllPaused(k.Snapshots.Dirs)
	var found []finding.Finding
	for _, s := range stacks {
		var services []string
		for _, row := range s.Services {
			if row.State == "paused" {
				services = append(services, row.Name)
			}
		}
		at := slices.IndexFunc(recorded, func(p snapshot.Paused) bool { return p.Stack == s.Name })
		if len(services) == 0 || at >= 0 && !recorded[at].Overdue {
			continue
		}
		f := finding.Finding{
			Code: finding.Paused, Severity: finding.Warning, Subject: host + "/" + s.Name,
			Text: strings.Join(services, ", ") + ": paused, but not by a snapshot",
			Fix:  "docker compose -p " + s.Name + " unpause on " + host,
		}
		if at >= 0 {
			f.Text = strings.Join(services, ", ") + ": still paused by a snapshot that did not end; salvord tries to resume it"
		}
		found = append(found, f)
	}
	return found, err
}
