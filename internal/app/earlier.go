package app

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/project"
	"salvor/internal/stack/compose"
)

// historyLimit is how many commits are looked at for what was before.
const historyLimit = 500

// stackAt resolves a stack as a commit declared it, with the present secrets and
// these vars; nil for those of that commit. A stack that did not load then is an
// error.
func (a *App) stackAt(ctx context.Context, name string, c git.Commit, vars map[string]string) (_ fleet.Stack, _ project.Rendered, err error) {
	var none project.Rendered
	then, err := a.Checkout.At(ctx, c)
	if err != nil {
		return fleet.Stack{}, none, err
	}
	defer func() { err = errors.Join(err, then.Close()) }()
	st, declared := then.Fleet.Stack(name)
	if problems := then.Broken[name]; len(problems) > 0 || !declared {
		return st, none, fmt.Errorf("stack %s does not load at %s", name, c.Short())
	}
	opts := compose.Options{RepoDir: then.Export, Stack: st, Vars: vars}
	if vars == nil {
		opts.Vars = then.Fleet.Vars
	}
	if opts.SecretKeys, err = a.Identity.Store.EnvNames(name); err != nil {
		return st, none, err
	}
	if opts.Secrets, err = a.Identity.Store.Unfiled(); err != nil {
		return st, none, err
	}
	loaded, found, err := compose.Load(ctx, opts)
	if err != nil {
		return st, none, err
	}
	if finding.AnyFatal(found) {
		return st, none, fmt.Errorf("stack %s does not load at %s: %s", name, c.Short(), found[0])
	}
	return st, *loaded, nil
}

// StacksAt renders the stacks of an earlier commit, as hosts got them, with the names of
// the present secrets.
func (a *App) StacksAt(ctx context.Context, commit string) (_ map[string]project.Rendered, err error) {
	c, err := a.Checkout.Git.Resolve(ctx, commit)
	if err != nil {
		return nil, err
	}
	then, err := a.Checkout.At(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, then.Close()) }()
	needs, err := a.needsAt(ctx, then)
	if err != nil {
		return nil, err
	}
	return needs.Rendered(), nil
}

// Revive has this app use, for each of the stacks whose files do not load, the newest
// earlier commit at which they did: what a recovery deploys, since the host that had
// its own version is gone. It returns a line for each of them; one that never loaded
// stays as it is.
func (a *App) Revive(ctx context.Context, stacks []string) ([]string, error) {
	var said []string
	for i, st := range a.Checkout.Fleet.Stacks {
		why := a.Broken(st.Name)
		if !st.Broken || why == nil || !slices.Contains(stacks, st.Name) {
			continue
		}
		then, rendered, c := a.lastThatLoads(ctx, st)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if c == "" {
			said = append(said, fmt.Sprintf("%s is not started: %v; it did not load at any earlier commit either: correct it, then run salvor apply", st.Name, why))
			continue
		}
		then.Host = st.Host
		a.Checkout.Fleet.Stacks[i] = then
		a.Needs.Render(st.Name, rendered)
		said = append(said, fmt.Sprintf("%s is deployed as of %s, the newest commit at which it loads: %v", st.Name, c.Short(), why))
	}
	return said, nil
}

// lastThatLoads returns a stack at the newest commit at which it loads, "" for none.
func (a *App) lastThatLoads(ctx context.Context, st fleet.Stack) (fleet.Stack, project.Rendered, git.Commit) {
	logged, err := a.Checkout.Git.Log(ctx, historyLimit, st.Dir, fleet.File)
	if err != nil {
		return st, project.Rendered{}, ""
	}
	for _, l := range logged {
		then, rendered, err := a.stackAt(ctx, st.Name, l.Commit, nil)
		if err == nil {
			return then, rendered, l.Commit
		}
		if ctx.Err() != nil {
			break
		}
	}
	return st, project.Rendered{}, ""
}
