package app

import (
	"context"
	"slices"
	"time"

	"salvor/internal/ack"
	"salvor/internal/adopt"
	"salvor/internal/audit"
	"salvor/internal/check"
	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/envimport"
	"salvor/internal/exposed"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/fleetkeys"
	"salvor/internal/githost"
	"salvor/internal/hosts"
	"salvor/internal/identity"
	"salvor/internal/keys"
	"salvor/internal/mirror"
	"salvor/internal/needs"
	"salvor/internal/project"
	"salvor/internal/reach"
	"salvor/internal/recording"
	"salvor/internal/rendering"
	"salvor/internal/sealing"
	"salvor/internal/secret"
	"salvor/internal/secretchange"
)

func (a *App) load(ctx context.Context) error {
	c, o := a.Checkout, a.opts
	a.Confirmed = confirmation.New(c, confirmation.Options{Approve: o.Approve, Grant: o.Grant, Trust: o.Trust, Needs: a.needsAt})
	a.Identity = identity.New(c, identity.Options{ //nolint:contextcheck // a Keyring knows no context, and an agent answers at once
		Identity: o.Identity, Agents: o.Agents, Passphrase: o.Unlock, Say: o.Say, Ask: o.Ask, Terminal: o.Terminal,
		Prompts: o.Prompts, Printed: o.Printed, Sink: o.Sink, Allow: a.Confirmed.AllowProgram,
	})
	a.Reach = reach.New(c, reach.Options{
		SSHKey: o.SSHKey, Passphrase: o.Passphrase, Connect: o.Connect, Sink: o.Sink,
		Kept: func(ctx context.Context) (secret.Value, error) { return a.Identity.Secret(ctx, reach.SSHKeyName) },
	})
	a.findings = slices.Concat(c.Findings, c.Noticed)
	stacks, err := a.render(ctx)
	if err != nil {
		return err
	}
	a.wire(stacks)
	a.findings = a.counting(slices.Concat(a.findings, check.Findings(c.Repository, a.Identity.Store, stacks)))
	return a.noticeKeys(ctx, time.Now())
}

// counting returns findings as they count for the files that were opened.
func (a *App) counting(found []finding.Finding) []finding.Finding {
	if a.Checkout.Files == checkout.Committed {
		return found
	}
	return check.BeforeCommit(found)
}

// wire makes what works on the checkout, from the lowest to those that need most.
func (a *App) wire(stacks map[string]project.Rendered) {
	c, id, o := a.Checkout, a.Identity, a.opts
	a.Needs = needs.New(c, id, stacks)
	a.Confirmed.Rendered(a.Needs)
	a.FleetKeys = fleetkeys.New(c, id, a.Needs, a.Confirmed)
	token := gitToken{a}
	a.GitHost = githost.New(c, a.Reach, githost.Options{Trust: o.Trust, Site: o.GitHub, Token: token.open})
	if !c.Fleet.Git.Token.IsZero() {
		c.Git.UseLogin(token.login)
	}
	a.Record = recording.New(c, id, a.Needs, a.Confirmed, a.FleetKeys, o.Computer, o.Sink)
	a.Mirrors = mirror.New(c, id, a.Needs, a.Confirmed, a.FleetKeys, a.Record, a.GitHost, o.Sink)
	a.Journals = audit.New(c, id, a.Confirmed, a.FleetKeys, a.Record, a.Reach)
	a.Exposed = exposed.New(c, id, a.Needs, a.GitHost.Source)
	a.Acks = ack.New(c)
	a.Hosts = hosts.New(c, a.Reach, a.Confirmed, a.Exposed, a.GitHost)
	a.Servers = hosts.NewServers(a.Hosts)
	a.Import = envimport.New(c, id, a.Confirmed, a.Exposed)
	a.Adopt = adopt.New(c, a.Reach, a.Import)
	a.Secrets = secretchange.New(c, id, a.Needs, a.Confirmed, a.Exposed)
	a.Keys = keys.New(c, id, a.Needs, a.Confirmed, a.FleetKeys, a.Exposed, a.Reach, keys.Options{Identity: o.Identity, Work: o.Work, Again: a.keysAgain, Record: a.Record.With})
	c.Rules = checkout.Rules{Complete: a.GitHost.WithPin, Making: a.Confirmed.Making, Sign: a.FleetKeys.WithSignatures, Published: a.Confirmed.Published, TakenBack: a.Confirmed.TakenBack}
}

// sealer returns what seals for hosts, with nothing made yet.
func (a *App) sealer() *sealing.Sealer {
	return sealing.New(a.Checkout, a.Needs, a.Confirmed, a.FleetKeys, nil)
}

// keysAgain opens the newest commit once more.
func (a *App) keysAgain(ctx context.Context) (*keys.Changes, func() error, error) {
	again, err := Open(ctx, a.opts)
	if err != nil {
		return nil, nil, err
	}
	return again.Keys, again.Close, nil
}

// needsAt returns what the stacks of an earlier commit need.
func (a *App) needsAt(ctx context.Context, at *checkout.Checkout) (*needs.Needs, error) {
	then := &App{opts: a.opts, Checkout: at, Identity: a.Identity.At(at)}
	stacks, err := then.render(ctx)
	return needs.New(at, then.Identity, stacks), err
}

// render renders every stack: one that does not load is Broken, and a fatal finding
// says why.
func (a *App) render(ctx context.Context) (map[string]project.Rendered, error) {
	src := rendering.Source{Dir: a.Checkout.Export, Repository: a.Checkout.Repository, Names: a.Identity.Store, Look: func(st fleet.Stack, r project.Rendered) []finding.Finding {
		return a.counting(check.Unprotected(&a.Checkout.Fleet, st, r.Volumes))
	}}
	if a.Checkout.Files != checkout.Committed {
		src.WorkTree = a.Checkout.Root
	}
	rendered, found, err := rendering.Stacks(ctx, src)
	if err != nil {
		return nil, err
	}
	a.findings = slices.Concat(a.findings, found, a.counting(check.Networks(a.Checkout.Repository, rendered)))
	stacks := a.Checkout.Fleet.Stacks
	for i := range stacks {
		if stacks[i].Broken = rendering.Broken(a.findings, stacks[i].Name); stacks[i].Broken {
			delete(rendered, stacks[i].Name)
		}
	}
	return rendered, nil
}

// Broken is the error of a command that needs a stack which does not load, nil for
// one that does.
func (a *App) Broken(name string) error { return rendering.Error(a.findings, name) }
