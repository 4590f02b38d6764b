package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/placement"
)

// Seal makes every seal that the placements need, and gives them the repositories that
// they lack: before anything is stopped, since it takes seconds, and may ask or fail.
func (r *Run) Seal(ctx context.Context) error {
	maps.Copy(r.files, r.Extra)
	stale, err := r.Sealer.Stale(ctx, placement.Only(r.Next, func(name string, _ fleet.Placement) bool { return !r.held[name] }))
	if err != nil {
		return err
	}
	for _, m := range r.Moves {
		if m.To != "" {
			stale[m.Stack] = "placed"
		}
	}
	if len(stale) == 0 {
		return nil
	}
	return r.phase(ctx, "encrypt for hosts", func() error {
		seals, next, err := r.Sealer.Seal(ctx, r.Next, slices.Sorted(maps.Keys(stale)), r.Consent)
		if err == nil {
			r.Next = next
			maps.Copy(r.files, seals)
		}
		return err
	})
}

// Place has former hosts release their stacks, commits and pushes the placements, and
// claims them. A commit that lost its stacks to another host's claims before it was
// pushed is taken back.
func (r *Run) Place(ctx context.Context) error {
	if err := r.release(ctx); err != nil {
		return err
	}
	if err := carryBirths(ctx, r); err != nil { // a former host may have been starting the stack until now
		return err
	}
	var err error
	if r.due.unpublished {
		err = r.push(ctx, "push")
	}
	was, before := r.Lock, r.Commit
	if err == nil {
		err = r.commitLock(ctx, r.files, r.Next, r.message())
	}
	if err == nil {
		err = r.claim(ctx)
	}
	if err == nil {
		err = r.stillReleased(ctx)
	}
	if errors.Is(err, ErrOutrun) && slices.Contains(r.receipt.Pending, pushLater) {
		r.Lock, r.Commit = was, before
		err = r.withdraw(ctx, err)
	}
	return err
}

// release has former hosts stop their stacks and read the final snapshot back.
// Nothing is published or claimed before every one of them has.
func (r *Run) release(ctx context.Context) error {
	if len(r.due.release) == 0 {
		return nil
	}
	return r.phase(ctx, "final snapshot", func() error { return r.releaseAll(ctx) })
}

// stillReleased has former hosts release their stacks once more, now that the claims
// are visible: another operator's apply may have started one again meanwhile, since
// nothing said yet that it moves. From now on none can.
func (r *Run) stillReleased(ctx context.Context) error {
	if r.Fleet.Record.Remote == "" {
		return nil // nothing says more than it did before
	}
	return r.releaseAll(ctx)
}

func (r *Run) releaseAll(ctx context.Context) error {
	var g group
	for _, f := range r.due.release {
		g.Go(func() error { return r.releaseOne(ctx, f) })
	}
	return g.Wait()
}

func (r *Run) releaseOne(ctx context.Context, f former) error {
	from, declared := r.Fleet.Host(f.host)
	if !declared {
		return fault.WithHint(fmt.Errorf("%s is placed on %s, which is no longer declared", f.stack, f.host),
			fmt.Sprintf("put hosts.%s back into fleet.yaml and commit; then salvor apply, or, if the host is lost: salvor recover %s --to HOST", f.host, f.host))
	}
	link, err := r.dial(ctx, from)
	if err != nil {
		return fault.WithHint(fmt.Errorf("%s can't move: %w", f.stack, err), fmt.Sprintf("if %s is lost: salvor recover %s --to HOST", f.host, f.host))
	}
	req := agentapi.Release{Stack: f.stack, Epoch: f.epoch, Owner: r.Owner, Message: "move " + f.stack}
	var receipt agentapi.SnapshotReceipt
	return r.call(ctx, link, agentapi.VerbRelease, req, &receipt)
}

// message is that of the placements' commit.
func (r *Run) message() string {
	switch {
	case r.Message != "":
		return r.Message
	case len(r.Moves) == 0:
		return string(r.Kind) + ": seals"
	}
	message := string(r.Kind) + ": placements\n"
	for _, m := range r.Moves {
		message += fmt.Sprintf("\n%s: %s -> %s, epoch %d", m.Stack, orNone(m.From), orNone(m.To), m.Epoch)
	}
	return message
}

func orNone(host string) string {
	if host == "" {
		return "none"
	}
	return host
}

// commitLock commits files together with the lock, when either changes
// anything, and pushes.
func (r *Run) commitLock(ctx context.Context, files map[string][]byte, lock fleet.Lock, message string) error {
	if lock.Record.Remote == "" && len(lock.Stacks) > 0 {
		lock = placement.WithRecord(lock, r.Fleet.Record) // from the first placement on it stays there
	}
	changed, err := lockFile(r.Lock, lock)
	if err != nil {
		return err
	}
	maps.Copy(files, changed)
	if len(files) == 0 && !r.Unrecorded {
		return nil
	}
	var commit string
	err = r.phase(ctx, "commit", func() error {
		commit, err = r.Repo.Commit(ctx, files, message)
		return err
	})
	if err == nil {
		err = r.push(ctx, "push")
	}
	if err == nil {
		r.Lock, r.Commit, r.Unrecorded = lock, commit, false
	}
	return err
}

const pushLater = "the Git host does not answer; when it is back: git push"

// push publishes the commit, in a phase of this name; where the Git host may be away, it
// is left to do.
func (r *Run) push(ctx context.Context, name string) error {
	if slices.Contains(r.receipt.Pending, pushLater) {
		return nil
	}
	return r.phase(ctx, name, func() error {
		err := r.Repo.Push(ctx)
		if errors.Is(err, git.ErrGitAway) && r.GitMayBeAway {
			r.Leave(pushLater)
			return nil
		}
		return err
	})
}

// claim makes the claims. Where two operators race, both begin with the same stack:
// who loses that one has claimed nothing else.
func (r *Run) claim(ctx context.Context) error {
	due := r.due.claim
	if len(due) == 0 {
		return nil
	}
	one := func(name string) error {
		p := r.Lock.Stacks[name]
		return r.Record.Claim(ctx, name, p.Epoch, p.Host, r.Commit)
	}
	err := r.phase(ctx, "record the owners", func() error {
		if err := one(due[0]); err != nil {
			return err
		}
		var g group
		for _, name := range due[1:] {
			g.Go(func() error { return one(name) })
		}
		return g.Wait()
	})
	if fault.Hint(err) == "" {
		err = fault.WithHint(err, "the placements are committed; run the same command again to continue")
	}
	return err
}

// withdraw takes the commit of a run back that lost its stacks to another while the
// Git host was away: pushed, it would stop what runs there.
func (r *Run) withdraw(ctx context.Context, lost error) error {
	r.receipt.Pending = slices.DeleteFunc(r.receipt.Pending, func(p string) bool { return p == pushLater })
	undone, err := r.Repo.Uncommit(context.WithoutCancel(ctx))
	hint := "the commit of this run was undone; when the Git host is back: git pull --rebase, then salvor plan"
	if !undone {
		hint = "do not push your unpushed commits: git reset --keep @{upstream} undoes them"
	}
	return errors.Join(fault.WithHint(lost, hint), err)
}
