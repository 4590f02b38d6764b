package twin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/lab/twin/branch"
	"salvor/internal/lockfile"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/recovery"
	"salvor/internal/restore"
	"salvor/internal/sign"
	"salvor/internal/terminal"
)

// This file is the only one that knows how salvor's commands run their workflows.

// An operator has a clone, in which commands run one after another.
type operator struct {
	w     *world
	name  string
	clone *branch.Clone
}

// A command is one run of salvor.
type command struct {
	*operator
	p         *process
	files     map[string][]byte
	declared  declaration
	s         *deploy.Session
	lock      fleet.Lock
	committer *branch.Committer
}

// open loads the newest commit of the operator's clone.
func (o *operator) open(p *process) (*command, error) {
	c := &command{operator: o, p: p, files: o.clone.Files()}
	var err error
	if c.declared, err = parseDeclaration(c.files); err != nil {
		return nil, err
	}
	if c.lock, err = lockOf(c.files); err != nil {
		return nil, err
	}
	edge := func(ctx context.Context, op string) error { return o.w.toGit(ctx, p, op) }
	c.committer = branch.NewCommitter(o.clone, edge)
	f := o.w.fleet(c.declared)
	stacks := map[string]project.Rendered{}
	for name, st := range c.declared.Stacks {
		stacks[name] = o.w.workshop.stacks[name][st.Version]
	}
	c.s = &deploy.Session{
		Fleet: f, Lock: c.lock, Commit: o.clone.Head(), Stacks: stacks, Git: agentapi.Git{URL: "ssh://git.example.net/fleet", Branch: "main"},
		Signers: sign.Keys{o.w.key.Public()}, Owner: o.name, Keys: o.w.recipients, HostSigners: o.w.signers, Lease: lease().Length(),
		Repo: c.committer, Sealer: &sealer{w: o.w, files: c.files, targets: f.Snapshots}, Record: &recorder{w: o.w, p: p, clone: o.clone, fleet: f},
		Hosts: &dialer{w: o.w, p: p}, Sink: progress.Discard(),
	}
	return c, nil
}

// errNotUp is the error of a command after which stacks that it was about are not up.
var errNotUp = errors.New("not up")

// ended is how a command ends: with what went wrong, or nothing.
func ended(r deploy.Receipt, err error) error {
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range r.Failed() {
		errs = append(errs, fmt.Errorf("%w: %s: %s: %w", errNotUp, f.Host, f.Stack, f.Error))
	}
	return errors.Join(errs...)
}

// settleFirst is the error of a plan with a fatal finding.
func settleFirst(all []finding.Finding) error {
	for _, f := range all {
		if f.Severity == finding.Fatal {
			return fault.WithHint(fmt.Errorf("%s: %s", f.Subject, f.Text), f.Fix)
		}
	}
	return nil
}

// apply is `salvor apply --yes`.
func (c *command) apply(ctx context.Context) error {
	past, err := c.s.New(ctx)
	if err != nil {
		return err
	}
	p, next, moves, err := c.plan(ctx, past)
	if err != nil {
		return err
	}
	left, others := finding.Of(p.Findings)
	if err := errors.Join(settleFirst(others), p.Complete()); err != nil {
		return err
	}
	if p.Empty() && len(moves) == 0 {
		if settled, err := c.s.Settled(ctx); err != nil || settled {
			return errors.Join(err, settleFirst(left))
		}
	}
	accept := func(p deploy.Plan) error { return settleFirst(p.Findings) }
	return errors.Join(ended(c.s.Apply(ctx, p, next, deploy.Options{Kind: deploy.KindApply, Moves: moves, Accept: accept})), settleFirst(left))
}

func (c *command) plan(ctx context.Context, past map[string]int) (deploy.Plan, fleet.Lock, []placement.Move, error) {
	next, moves := placement.Next(c.s.Fleet, c.s.Lock, past)
	stale, err := c.s.StaleSeals(ctx)
	if err != nil {
		return deploy.Plan{}, next, moves, err
	}
	held := c.s.TakenOver(ctx, next)
	observed := c.s.Observe(ctx, next)
	if held = append(held, deploy.Scoped(observed, next)...); c.s.Hold(held) {
		for _, f := range held {
			delete(stale, f.Stack)
		}
		next, moves = placement.Next(c.s.Fleet, c.s.Lock, past)
		observed = c.s.Observe(ctx, next)
		deploy.Scoped(observed, next)
	}
	p := deploy.MakePlan(c.s.Fleet, c.s.Commit, moves, observed)
	p.Reseal(stale, next, c.s.Stacks)
	p.Findings = append(p.Findings, held...)
	return p, next, moves, nil
}

// settled reports whether nothing is left to do: `salvor plan` is empty.
func (c *command) settled(ctx context.Context) (bool, string, error) {
	p, _, moves, err := c.plan(ctx, nil)
	if err != nil {
		return false, "", err
	}
	var text strings.Builder
	p.Render(terminal.NewPage(&text, false))
	done, err := c.s.Settled(ctx)
	return p.Empty() && len(moves) == 0 && done && p.Complete() == nil, text.String(), err
}

// rehost is the declaration with stacks on another host, as files of a commit.
func (c *command) rehost(stacks []string, host string) (map[string][]byte, error) {
	d := declaration{Stacks: maps.Clone(c.declared.Stacks)}
	for _, name := range stacks {
		st := d.Stacks[name]
		st.Host = host
		d.Stacks[name] = st
		for i := range c.s.Fleet.Stacks {
			if c.s.Fleet.Stacks[i].Name == name {
				c.s.Fleet.Stacks[i].Host = host
			}
		}
	}
	return d.files()
}

// move is `salvor move STACK --to HOST`.
func (c *command) move(ctx context.Context, stack, to string) error {
	was, placed := c.lock.Placement(stack)
	if !placed {
		return fmt.Errorf("stack %s is not placed anywhere yet", stack)
	}
	if was.Host == to {
		plan := deploy.MakePlan(c.s.Fleet, c.s.Commit, nil, c.s.ObserveSome(ctx, c.lock, to))
		if err := plan.Complete(); err != nil {
			return err
		}
		return ended(c.s.Apply(ctx, plan, c.lock, deploy.Options{Kind: deploy.KindMove, Asked: []string{stack}, Unplanned: true}))
	}
	files, err := c.rehost([]string{stack}, to)
	if err != nil {
		return err
	}
	next, moved := placement.MoveTo(c.lock, stack, to)
	moves := []placement.Move{moved}
	plan := deploy.MakePlan(c.s.Fleet, c.s.Commit, moves, c.s.ObserveSome(ctx, next, was.Host, to))
	if err := errors.Join(plan.Complete(), settleFirst(plan.Findings)); err != nil {
		return err
	}
	return ended(c.s.Apply(ctx, plan, next, deploy.Options{Kind: deploy.KindMove, Moves: moves, Extra: files, Asked: []string{stack}, Unplanned: true}))
}

// recover is `salvor recover HOST --to OTHER --yes`.
func (c *command) recover(ctx context.Context, lost, to string) error {
	target, declared := c.s.Fleet.Host(to)
	if !declared {
		return fmt.Errorf("host %s is not declared", to)
	}
	p, err := recovery.Prepare(ctx, recovering{c}, recovery.Options{Lost: lost, To: target})
	if err != nil {
		return err
	}
	return ended(p.Run(ctx, nil))
}

// take is `salvor snapshot take STACK`. It returns the snapshot's id.
func (c *command) take(ctx context.Context, stack string) (string, error) {
	p, placed := c.lock.Placement(stack)
	if !placed {
		return "", fmt.Errorf("stack %s is not placed anywhere yet", stack)
	}
	var receipt agentapi.SnapshotReceipt
	err := c.s.Call(ctx, p.Host, agentapi.VerbSnapshot, agentapi.TakeSnapshot{Stack: stack}, &receipt)
	return receipt.Snapshot.ID, err
}

// restore is `salvor restore STACK --snapshot ID`.
func (c *command) restore(ctx context.Context, stack, id string) error {
	p, err := restore.Prepare(ctx, c.s, stack, restore.Options{Snapshot: id})
	if err != nil {
		return err
	}
	return ended(p.Run(ctx, nil))
}

// withdraw is `salvor restore STACK --withdraw`.
func (c *command) withdraw(ctx context.Context, stack string) error {
	p, err := restore.Withdraw(c.s, stack)
	if err != nil {
		return err
	}
	return ended(p.Run(ctx, nil))
}

// snapshots are those that a restore may take, oldest first.
func (c *command) snapshots(ctx context.Context, stack string) ([]string, error) {
	list, err := c.s.Snapshots(ctx, stack)
	var ids []string
	for _, s := range list.Snapshots {
		if !s.Diverged && !s.Unproven && !s.Future && s.Damaged == "" && !s.Missing {
			ids = append(ids, s.ID)
		}
	}
	return ids, err
}

// edit commits another version of a stack, as an operator does with an editor and git.
func (c *command) edit(ctx context.Context, stack string, version int) error {
	d := declaration{Stacks: maps.Clone(c.declared.Stacks)}
	st := d.Stacks[stack]
	st.Version = version
	d.Stacks[stack] = st
	return c.commit(ctx, d, nil, "edit "+stack)
}

func (c *command) commit(ctx context.Context, d declaration, more map[string][]byte, message string) error {
	files, err := d.files()
	if err != nil {
		return err
	}
	maps.Copy(files, more)
	if _, err := c.committer.Commit(ctx, files, message); err != nil {
		return err
	}
	return c.committer.Push(ctx)
}

// rollback is `salvor rollback STACK --keep-data`: the version before, with the image
// that ran then; with a snapshot it is --with-data.
func (c *command) rollback(ctx context.Context, stack string, version int, snapshot string) error {
	d := declaration{Stacks: maps.Clone(c.declared.Stacks)}
	st := d.Stacks[stack]
	st.Version = version
	d.Stacks[stack] = st
	lock := placement.RollBack(c.lock, stack, nil)
	if snapshot != "" {
		lock = placement.Restore(lock, stack, snapshot)
	}
	files, err := lockFile(lock)
	if err == nil {
		err = c.commit(ctx, d, files, "rollback "+stack)
	}
	if err != nil {
		return err
	}
	next, err := c.open(c.p)
	if err != nil {
		return err
	}
	return ended(next.s.Apply(ctx, next.s.OnHost(lock.Stacks[stack].Host), next.s.Lock, deploy.Options{Kind: deploy.KindRollback, Asked: []string{stack}, Unplanned: true}))
}

// pull is `git pull --rebase`, with the conflicts resolved as the hints say: of two
// placements of a stack the one with the higher epoch stays.
func (o *operator) pull(ctx context.Context, p *process) error {
	edge := func(ctx context.Context, op string) error { return o.w.toGit(ctx, p, op) }
	if err := o.clone.Fetch(ctx, edge); err != nil || !o.clone.Unpushed() {
		if err == nil {
			o.clone.Rebase(nil, "")
		}
		return err
	}
	base, ours, theirs := o.clone.Base(), o.clone.Files(), o.clone.Tracked()
	merged := map[string][]byte{}
	for name := range ours {
		if string(ours[name]) != string(base[name]) && name != lockfile.Name && name != declarationFile {
			merged[name] = ours[name]
		}
	}
	lock, d, err := mergePlacements(base, ours, theirs)
	if err != nil {
		return err
	}
	files, err := d.files()
	if err != nil {
		return err
	}
	maps.Copy(merged, files)
	if files, err = lockFile(lock); err != nil {
		return err
	}
	maps.Copy(merged, files)
	maps.DeleteFunc(merged, func(name string, content []byte) bool { return string(theirs[name]) == string(content) })
	o.clone.Rebase(merged, "rebased")
	return nil
}

func mergePlacements(base, ours, theirs map[string][]byte) (lock fleet.Lock, d declaration, err error) {
	var locks [3]fleet.Lock
	var all [3]declaration
	for i, files := range []map[string][]byte{base, ours, theirs} {
		var lockErr, declErr error
		locks[i], lockErr = lockOf(files)
		all[i], declErr = parseDeclaration(files)
		err = errors.Join(err, lockErr, declErr)
	}
	lock, d = locks[2].Copy(), all[2]
	for _, name := range slices.Sorted(maps.Keys(locks[1].Stacks)) {
		if locks[1].Stacks[name].Epoch > lock.Stacks[name].Epoch {
			lock.Stacks[name], d.Stacks[name] = locks[1].Stacks[name], all[1].Stacks[name]
		}
	}
	return lock, d, err
}
