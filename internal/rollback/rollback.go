// Package rollback returns a stack to an earlier deploy: its files and its images, and
// its data if that is requested.
package rollback

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/controlrepo"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/lockfile"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/proposal"
	"salvor/internal/restore"
)

// A Fleet is the newest commit of the fleet, opened, as far as a rollback needs it.
type Fleet struct {
	Declared *fleet.Fleet
	Lock     fleet.Lock
	Git      Git
	// ProjectAt renders a stack as a commit declared it, with the present secrets.
	ProjectAt   func(ctx context.Context, st fleet.Stack, c git.Commit) (project.Project, error)
	CommitFiles func(ctx context.Context, files map[string][]byte, message string) error
	// Session returns the workflow on the commit.
	Session func(ctx context.Context) (*deploy.Session, error)
	// Reopen returns the workflow on the commit that is the newest then: hosts get what it
	// declares, not what was prepared.
	Reopen func(ctx context.Context, sink progress.Sink) (*deploy.Session, error)
}

// Git has the stack's history, see git.Repository.
type Git interface {
	Log(ctx context.Context, limit int, paths ...string) ([]git.Logged, error)
	Objects(ctx context.Context, names []string) ([]git.Object, error)
	Revert(ctx context.Context, folder string, to git.Commit) (map[string][]byte, error)
	Resolve(ctx context.Context, name string) (git.Commit, error)
}

// Options say how far a stack goes back.
type Options struct {
	To       string // commit whose deploy it is, "" for the one before the present
	WithData bool   // the data goes back, too: to the newest snapshot that was taken while the deploy ran
	KeepData bool   // the data stays although an image gets older: it is known to fit
}

// A rollback is one that was prepared.
type rollback struct {
	fleet *Fleet
	stack fleet.Stack
	to    Deploy
	files map[string][]byte // of the commit, the lock apart
	lock  fleet.Lock
	older string // which service gets an image older than its data, "" for none
	built bool   // the deploy has images that are built from the stack's folder
}

// Prepare proposes to return a stack to an earlier deploy: its folder as it was, on the
// host where it is now, with the images from that time. An older image on newer data is
// refused unless Options say what becomes of the data.
func Prepare(ctx context.Context, f *Fleet, stack string, o Options) (proposal.Proposal[deploy.Receipt], error) {
	var none proposal.Proposal[deploy.Receipt]
	now, earlier, err := f.Deploys(ctx, stack)
	if err != nil {
		return none, err
	}
	to, err := f.choose(ctx, stack, now, earlier, o.To)
	if err != nil {
		return none, err
	}
	r, err := f.back(ctx, stack, now, to)
	if err != nil {
		return none, err
	}
	if r.older != "" && !o.WithData && !o.KeepData {
		err := fmt.Errorf("%s: the image of %s would be older than the data, which it may not be able to read", stack, r.older)
		return none, fault.WithHint(err, "salvor rollback "+stack+" --with-data also restores the data from that time; "+
			"use --keep-data if today's data works with the older image")
	}
	p := proposal.New(fmt.Sprintf("rollback %s to %s", stack, to.Commit.Short()), r.run)
	p.Question = fmt.Sprintf("Roll %s back to %s of %s?", stack, to.Commit.Short(), to.At.Format(time.DateTime+" MST"))
	if !o.WithData {
		return p, nil
	}
	data, err := r.data(ctx)
	if err != nil {
		return none, err
	}
	r.lock = placement.Restore(r.lock, stack, data.ID)
	p.Question, p.Name = p.Question+"\n"+restore.Question(stack, data), stack
	p.Loses = []string{fmt.Sprintf("what %s has written since %s", stack, data.Began.UTC().Format(time.DateTime))}
	return p, nil
}

// back makes the files and the lock that return a stack to a deploy. Nothing is written.
func (f *Fleet) back(ctx context.Context, stack string, now, to Deploy) (*rollback, error) {
	r := &rollback{fleet: f, to: to, lock: placement.RollBack(f.Lock, stack, to.Images)}
	r.stack, _ = f.Declared.Stack(stack)
	p, err := placement.Of(r.lock, stack)
	if err != nil {
		return nil, err
	}
	then, err := f.ProjectAt(ctx, r.stack, to.Commit)
	if err != nil {
		return nil, fmt.Errorf("%s as of %s: %w", stack, to.Commit.Short(), err)
	}
	r.files, err = f.Git.Revert(ctx, r.stack.Dir, to.Commit)
	if errors.Is(err, git.ErrMode) {
		err = fault.WithHint(err, fmt.Sprintf("git checkout %s -- %s, commit, then salvor apply", to.Commit.Short(), r.stack.Dir))
	}
	if err != nil {
		return nil, err
	}
	compose := r.stack.Dir + "/" + r.stack.File
	if file, changed := r.files[compose]; changed && file != nil {
		if r.files[compose], err = controlrepo.SetStackHost(file, p.Host); err != nil {
			return nil, fmt.Errorf("%s: %w", compose, err)
		}
	}
	r.built = slices.ContainsFunc(then.Services, func(s project.Service) bool { return s.Build && !s.Idle })
	if len(p.Volumes) > 0 {
		r.older = older(then, now, to)
	}
	return r, nil
}

// older names a service whose image goes back. One that is built has no digest
// to compare; what it is built from is part of the folder.
func older(then project.Project, now, to Deploy) string {
	for _, s := range then.Services {
		if was := now.Images[s.Name]; was != "" && was != to.Images[s.Name] || s.Build && now.folder != to.folder {
			return s.Name
		}
	}
	return ""
}

// data picks the newest of the stack's snapshots whose data belongs to the
// deploy: taken while its images ran, and for built ones from its folder.
func (r *rollback) data(ctx context.Context) (agentapi.SnapshotRow, error) {
	var best agentapi.SnapshotRow
	s, err := r.fleet.Session(ctx)
	if err != nil {
		return best, err
	}
	list, err := s.Snapshots(ctx, r.stack.Name)
	if err != nil {
		return best, err
	}
	found := false
	for _, row := range list.Snapshots {
		if row.Diverged || row.Damaged != "" || !maps.Equal(row.Images, r.to.Images) || found && !best.Before(row) {
			continue
		}
		if r.built {
			folder, err := r.fleet.Git.Objects(ctx, []string{row.Commit + ":" + r.stack.Dir})
			if err != nil {
				return best, err
			}
			if folder[0].ID != r.to.folder {
				continue
			}
		}
		best, found = row, true
	}
	if !found {
		return best, fault.WithHint(fmt.Errorf("stack %s has no snapshot that was taken while the deploy of %s ran", r.stack.Name, r.to.Commit.Short()), "salvor snapshot ls "+r.stack.Name)
	}
	return best, nil
}

// run commits the rollback and has the stack's host apply the commit.
func (r *rollback) run(ctx context.Context, sink progress.Sink) (deploy.Receipt, error) {
	lock, err := lockfile.Encode(r.lock)
	if err != nil {
		return deploy.Receipt{}, err
	}
	files := maps.Clone(r.files)
	files[lockfile.Name] = lock
	name := r.stack.Name
	message := fmt.Sprintf("rollback: %s back to %s\n\n%s: %s %s", name, r.to.Commit.Short(), Trailer, name, r.to.Commit)
	if err := r.fleet.CommitFiles(ctx, files, message); err != nil {
		return deploy.Receipt{}, err
	}
	s, err := r.fleet.Reopen(ctx, sink)
	if err != nil {
		return deploy.Receipt{}, err
	}
	return s.Apply(ctx, s.OnHost(r.lock.Stacks[name].Host), s.Lock, deploy.Options{Kind: deploy.KindRollback, Asked: []string{name}, Unplanned: true})
}
