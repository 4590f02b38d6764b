package rollback

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/lockfile"
	"salvor/internal/project"
)

// historyLimit is how many commits are looked at for earlier deploys.
const historyLimit = 500

// Trailer is the line at the end of a rollback's commit message that says which stack
// went back, and to which commit: "Salvor-Rollback: notes 1a2b3c…".
const Trailer = "Salvor-Rollback"

// A Deploy is what a stack was at a time: its folder in Git and the images that
// the lock had for it.
type Deploy struct {
	Commit git.Commit // the newest that has it
	At     time.Time
	By     string            // the author of the commit
	Images map[string]string // service to reference with digest
	folder string            // Git's id of the stack's folder
	back   bool              // a rollback of the stack made this its state
}

func (d Deploy) same(o Deploy) bool { return d.folder == o.folder && maps.Equal(d.Images, o.Images) }

// rolledBack reports whether a commit is a rollback of a stack.
func rolledBack(l git.Logged, stack string) bool {
	return slices.ContainsFunc(l.Trailer(Trailer), func(value string) bool {
		of, _, _ := strings.Cut(value, " ")
		return of == stack
	})
}

// states returns what a stack was declared as, newest first, each once in a row; the
// first is the present. Some were never deployed: between an edit and the next apply
// the lock still has the previous images.
func (f *Fleet) states(ctx context.Context, st fleet.Stack) ([]Deploy, error) {
	logged, err := f.Git.Log(ctx, historyLimit, st.Dir, lockfile.Name)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, l := range logged {
		names = append(names, string(l.Commit)+":"+st.Dir, string(l.Commit)+":"+lockfile.Name)
	}
	objects, err := f.Git.Objects(ctx, names)
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
		d := Deploy{Commit: l.Commit, At: l.At, By: l.Author, back: rolledBack(l, st.Name), folder: folder.ID, Images: lock.Stacks[st.Name].Images}
		if len(all) == 0 || !d.same(all[len(all)-1]) {
			all = append(all, d)
		}
	}
	return all, nil
}

// Deploys returns the present state of a stack and the earlier deploys that it
// can go back to, newest first.
func (f *Fleet) Deploys(ctx context.Context, stack string) (now Deploy, earlier []Deploy, err error) {
	st, declared := f.Declared.Stack(stack)
	if !declared {
		return now, nil, fmt.Errorf("stack %s is not declared", stack)
	}
	all, err := f.states(ctx, st)
	if err != nil || len(all) == 0 {
		return now, nil, err
	}
	for _, d := range all[1:] {
		if d.same(all[0]) || slices.ContainsFunc(earlier, d.same) {
			continue
		}
		if then, err := f.ProjectAt(ctx, st, d.Commit); err == nil && complete(then, d.Images) {
			earlier = append(earlier, d)
		}
	}
	return all[0], earlier, nil
}

// complete reports whether a lock's images are those of a project: of each
// service the tag that its file names, with a digest.
func complete(p project.Project, images map[string]string) bool {
	for _, s := range p.Services {
		if s.Build || s.Idle || s.Image == "" || strings.Contains(s.Image, "${") {
			continue
		}
		if pinned := images[s.Name]; !project.Digested(pinned) || project.Tagged(pinned) != project.Tagged(s.Image) {
			return false
		}
	}
	return true
}

// choose picks the deploy of a commit, or the one before the present for "". A
// rollback that was interrupted is finished first: continuing to the one before it
// would go back twice.
func (f *Fleet) choose(ctx context.Context, stack string, now Deploy, earlier []Deploy, name string) (Deploy, error) {
	if name == "" {
		if err := f.unfinished(ctx, stack, now); err != nil {
			return now, err
		}
		if len(earlier) == 0 {
			return now, fault.WithHint(fmt.Errorf("stack %s has no earlier deploy to go back to", stack), "salvor snapshot ls "+stack+"; salvor restore "+stack+" "+
				"--snapshot ID restores only data")
		}
		return earlier[0], nil
	}
	commit, err := f.Git.Resolve(ctx, name)
	if err != nil {
		return now, fault.WithHint(err, "salvor rollback "+stack+" --list")
	}
	for _, d := range append([]Deploy{now}, earlier...) {
		if d.Commit == commit {
			return d, nil
		}
	}
	return now, fault.WithHint(fmt.Errorf("stack %s was not deployed at commit %s", stack, commit.Short()), "salvor rollback "+stack+" --list")
}

func (f *Fleet) unfinished(ctx context.Context, stack string, now Deploy) error {
	if !now.back {
		return nil
	}
	s, err := f.Session(ctx)
	if err != nil {
		return err
	}
	host := s.Lock.Stacks[stack].Host
	seen := s.ObserveSome(ctx, s.Lock, host)[host]
	if seen.Err != nil {
		return seen.Err
	}
	for _, c := range seen.State.Changes {
		if c.Stack == stack {
			return fault.WithHint(fmt.Errorf("the rollback of %s in commit %s is not finished", stack, now.Commit.Short()),
				"salvor apply finishes it, unless salvor status shows restore-failed; --to COMMIT goes back further")
		}
	}
	return nil
}

// KeepsRestore refuses to withdraw a restore that belongs to a rollback, which asked for
// the data from that time: without it, an older image would start on newer data.
func (f *Fleet) KeepsRestore(ctx context.Context, stack string) error {
	now, earlier, err := f.Deploys(ctx, stack)
	if err != nil || !now.back || len(earlier) == 0 {
		return err
	}
	return fault.WithHint(fmt.Errorf("the restore of %s belongs to the rollback in commit %s: without it, an older image would start with newer data", stack, now.Commit.Short()),
		fmt.Sprintf("salvor rollback %s --to %s --keep-data undoes the whole rollback", stack, earlier[0].Commit.Short()))
}
