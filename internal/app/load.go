package app

import (
	"context"
	"slices"
	"time"

	"salvor/internal/checkout"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/identity"
	"salvor/internal/project"
	"salvor/internal/reach"
	"salvor/internal/rendering"
	"salvor/internal/secret"
)

func (a *App) load(ctx context.Context) error {
	a.declared = a.Checkout.Declared()
	a.Identity = identity.New(a.Checkout, identity.Options{
		Identity: a.opts.Identity, Passphrase: a.opts.Passphrase, Say: a.opts.Say, Ask: a.opts.Ask, Terminal: a.opts.Terminal,
		Prompts: a.opts.Prompts, Printed: a.opts.Printed, Sink: a.opts.Sink, Allow: a.allowProgram,
	})
	a.Reach = reach.New(a.Checkout, reach.Options{
		SSHKey: a.opts.SSHKey, Passphrase: a.opts.Passphrase, Connect: a.opts.Connect, Sink: a.opts.Sink,
		Kept: func(ctx context.Context) (secret.Value, error) { return a.Identity.Secret(ctx, reach.SSHKeyName) },
	})
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
	src := rendering.Source{Dir: a.Checkout.Export, Repository: a.Checkout.Repository, Names: a.Identity.Store, Look: func(st fleet.Stack, r project.Rendered) []finding.Finding { return a.unprotected(st, r.Volumes) }}
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
