package app

import (
	"context"
	"slices"
	"time"

	"salvor/internal/checkout"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/rendering"
)

func (a *App) load(ctx context.Context) error {
	a.declared = a.Checkout.Declared()
	a.hosts = newDialer(a)
	a.use(a.keyring())
	a.findings = slices.Concat(a.findings, a.Checkout.Findings, a.Checkout.Noticed)
	return a.render(ctx)
}

// render resolves every stack and collects the findings about the fleet.
func (a *App) render(ctx context.Context) error {
	if err := a.resolveAll(ctx); err != nil {
		return err
	}
	a.findings = slices.Concat(a.findings, a.nameless(), a.portsTaken(), a.mountsNested(), a.invalidRemotes(), a.invalidRegistries(), a.unrecorded())
	return a.noticeKeys(ctx, time.Now())
}

// resolveAll renders every stack: one that does not load is Broken, and a fatal finding
// says why.
func (a *App) resolveAll(ctx context.Context) error {
	src := rendering.Source{Dir: a.Checkout.Export, Repository: a.Checkout.Repository, Names: a.store, Look: func(st fleet.Stack, r project.Rendered) []finding.Finding { return a.unprotected(st, r.Volumes) }}
	if a.Checkout.Files != checkout.Committed {
		src.WorkTree = a.Checkout.Root
	}
	rendered, found, err := rendering.Stacks(ctx, src)
	if err != nil {
		return err
	}
	a.stacks, a.findings = rendered, append(a.findings, found...)
	stacks := a.Checkout.Fleet.Stacks
	for i := range stacks {
		if stacks[i].Broken = rendering.Broken(a.findings, stacks[i].Name); stacks[i].Broken {
			delete(a.stacks, stacks[i].Name)
		}
	}
	return nil
}

// nameless are the findings about folders of stacks/ whose names no stack can have.
func (a *App) nameless() []finding.Finding {
	var all []finding.Finding
	for name, problems := range a.Checkout.Broken {
		if fleet.ValidName(name) != nil {
			all = append(all, rendering.Problems("", problems)...)
		}
	}
	return all
}

// Broken is the error of a command that needs a stack which does not load, nil for
// one that does.
func (a *App) Broken(name string) error { return rendering.Error(a.findings, name) }
