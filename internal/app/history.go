package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/lockfile"
	"salvor/internal/placement"
	"salvor/internal/project"
)

// historyLimit is how many commits are looked at for earlier deploys.
const historyLimit = 500

// A Deploy is what a stack was at a time: its folder in Git and the images that
// the lock had for it.
type Deploy struct {
	Commit git.Commit // the newest that has it
	At     time.Time
	Images map[string]string // service to reference with digest
	folder string            // Git's id of the stack's folder
	said   string            // the commit's subject
}

// RolledBack reports whether a rollback of the stack made this its state.
func (d Deploy) RolledBack(stack string) bool { return strings.HasPrefix(d.said, rollbackOf(stack)) }

func rollbackOf(stack string) string { return "rollback: " + stack + " back to " }

func (d Deploy) same(o Deploy) bool { return d.folder == o.folder && maps.Equal(d.Images, o.Images) }

// states returns what a stack was declared as, newest first, each once in a row;
// the first is the present. Some were never deployed: between an edit and the
// next apply the lock still has the images of before.
func (a *App) states(ctx context.Context, st fleet.Stack) ([]Deploy, error) {
	logged, err := a.Checkout.Git.Log(ctx, historyLimit, st.Dir, lockfile.Name)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, l := range logged {
		names = append(names, string(l.Commit)+":"+st.Dir, string(l.Commit)+":"+lockfile.Name)
	}
	objects, err := a.Checkout.Git.Objects(ctx, names)
	if err != nil {
		return nil, err
	}
	var all []Deploy
	for i, l := range logged {
		folder, content := objects[2*i], objects[2*i+1].Content
		lock, err := lockfile.Decode(content)
		if folder.ID == "" || err != nil {
			continue // not declared then, or by a Salvor that wrote it differently
		}
		d := Deploy{Commit: l.Commit, At: l.At, said: l.Subject, folder: folder.ID, Images: lock.Stacks[st.Name].Images}
		if len(all) == 0 || !d.same(all[len(all)-1]) {
			all = append(all, d)
		}
	}
	return all, nil
}

// Deploys returns the present state of a stack and the earlier deploys that it
// can go back to, newest first.
func (a *App) Deploys(ctx context.Context, stack string) (now Deploy, earlier []Deploy, err error) {
	st, declared := a.Checkout.Fleet.Stack(stack)
	if !declared {
		return now, nil, fmt.Errorf("no stack %s is declared", stack)
	}
	all, err := a.states(ctx, st)
	if err != nil || len(all) == 0 {
		return now, nil, err
	}
	for _, d := range all[1:] {
		if d.same(all[0]) || slices.ContainsFunc(earlier, d.same) {
			continue
		}
		if project, err := a.projectAt(ctx, st, d.Commit); err == nil && complete(project, d.Images) {
			earlier = append(earlier, d)
		}
	}
	return all[0], earlier, nil
}

// projectAt renders a stack as a commit declared it.
func (a *App) projectAt(ctx context.Context, st fleet.Stack, c git.Commit) (project.Project, error) {
	_, rendered, err := a.stackAt(ctx, st.Name, c, a.Checkout.Fleet.Vars)
	return rendered.Project, err
}

// complete reports whether a lock's images are those of a project: of each
// service the tag that its file names, with a digest.
func complete(p project.Project, images map[string]string) bool {
	for _, s := range p.Services {
		if s.Build || s.Idle || s.Image == "" || strings.Contains(s.Image, "${") {
			continue
		}
		tag, _, _ := strings.Cut(s.Image, "@")
		if pinned, _, digested := strings.Cut(images[s.Name], "@"); !digested || pinned != tag {
			return false
		}
	}
	return true
}

// A Rollback is what going back to an earlier deploy would do.
type Rollback struct {
	To    Deploy
	Files map[string][]byte // of the commit, the lock apart
	Lock  fleet.Lock
	Older string // which service gets an image older than its data, "" for none
	built bool
}

// Rollback prepares going back to an earlier deploy: the stack's folder as it
// was, on the host where it is now, with the images of then. Nothing is changed.
func (a *App) Rollback(ctx context.Context, stack string, now, to Deploy) (Rollback, error) {
	r := Rollback{To: to, Lock: placement.RollBack(a.Checkout.Lock, stack, to.Images)}
	st, _ := a.Checkout.Fleet.Stack(stack)
	p, err := placement.Of(r.Lock, stack)
	if err != nil {
		return r, err
	}
	then, err := a.projectAt(ctx, st, to.Commit)
	if err != nil {
		return r, fmt.Errorf("%s as it was at %s: %w", stack, to.Commit.Short(), err)
	}
	r.Files, err = a.Checkout.Git.Revert(ctx, st.Dir, to.Commit)
	if errors.Is(err, git.ErrMode) {
		err = fault.WithHint(err, fmt.Sprintf("git checkout %s -- %s, commit, then salvor apply", to.Commit.Short(), st.Dir))
	}
	if err != nil {
		return r, err
	}
	if file, changed := r.Files[st.Dir+"/"+st.File]; changed && file != nil {
		if r.Files[st.Dir+"/"+st.File], err = controlrepo.SetStackHost(file, p.Host); err != nil {
			return r, fmt.Errorf("%s/%s: %w", st.Dir, st.File, err)
		}
	}
	r.built = slices.ContainsFunc(then.Services, func(s project.Service) bool { return s.Build && !s.Idle })
	if len(p.Volumes) > 0 {
		r.Older = older(then, now, to)
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

// DataOf picks, of a stack's snapshots, the newest whose data belongs to the
// deploy: taken while its images ran, and for built ones from its folder.
func (a *App) DataOf(ctx context.Context, stack string, r Rollback, all []agentapi.SnapshotRow) (agentapi.SnapshotRow, bool, error) {
	st, _ := a.Checkout.Fleet.Stack(stack)
	var best agentapi.SnapshotRow
	found := false
	for _, s := range all {
		if s.Diverged || s.Damaged != "" || !maps.Equal(s.Images, r.To.Images) || found && !best.Before(s) {
			continue
		}
		if r.built {
			folder, err := a.Checkout.Git.Objects(ctx, []string{s.Commit + ":" + st.Dir})
			if err != nil {
				return best, false, err
			}
			if folder[0].ID != r.To.folder {
				continue
			}
		}
		best, found = s, true
	}
	return best, found, nil
}

// CommitRollback commits and pushes what Rollback prepared.
func (a *App) CommitRollback(ctx context.Context, stack string, r Rollback) error {
	lock, err := lockfile.Encode(r.Lock)
	if err != nil {
		return err
	}
	files := maps.Clone(r.Files)
	files[lockfile.Name] = lock
	return a.Checkout.CommitFiles(ctx, files, rollbackOf(stack)+r.To.Commit.Short())
}

// ResolveCommit returns the commit that the operator named.
func (a *App) ResolveCommit(ctx context.Context, name string) (git.Commit, error) {
	return a.Checkout.Git.Resolve(ctx, name)
}
