package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hosts"
	"salvor/internal/machine/ssh"
	"salvor/internal/recovery"
	"salvor/internal/terminal"
)

// runRecoverCreate makes the host that takes over, and recovers onto it. Interrupted after
// the placement was committed, the same command finds that host declared, and ends the
// recovery there; before, it takes away what was made and begins again.
func runRecoverCreate(ctx context.Context, g *globals, lost string, o recoverOptions) error {
	if o.to == "" || o.to == lost || strings.Contains(o.to, "=") || o.hostKey != "" {
		return fault.WithCode(fault.WithHint(errors.New("--create makes a host of a new name, whose key Salvor gives it"),
			fmt.Sprintf("salvor recover %s --to NAME --create %s", lost, o.create)), fault.Usage)
	}
	if err := parseCreate(o.create, &o.server); err != nil {
		return err
	}
	if err := withSSHKey(ctx, g); err != nil {
		return err
	}
	return g.with(ctx, func(a *app.App) error {
		if h, declared := a.Fleet().Host(o.to); declared {
			p, err := recovery.Prepare(ctx, a.ForRecovery(), o.options(lost, h, false, nil))
			if err != nil {
				return err
			}
			return g.carryOut(ctx, p)
		}
		if err := recovery.Possible(ctx, a.ForRecovery(), o.options(lost, fleet.Host{Name: o.to}, true, nil)); err != nil {
			return err
		}
		m, err := o.server.making(ctx, a, o.to, "--ssh-from")
		if err != nil {
			return err
		}
		p, err := a.Servers.PrepareMake(ctx, m)
		if err != nil {
			return err
		}
		born, err := accepted(ctx, g, p)
		if err != nil {
			return err
		}
		return recoverOnto(ctx, g, a, m, born, o.options(lost, born.Host, true, func(context.Context, fleet.Host) (ssh.PublicKey, error) { return born.Key, nil }))
	})
}

// recoverOnto recovers onto a server that was just made. Where it did not become a host, the
// server is taken away again.
func recoverOnto(ctx context.Context, g *globals, a *app.App, m hosts.Making, born hosts.Born, o recovery.Options) error {
	unlockAhead(g, a)
	p, err := recovery.Prepare(ctx, a.ForRecovery(), o)
	var receipt deploy.Receipt
	if err == nil {
		receipt, err = accepted(ctx, g, p)
	}
	if err != nil {
		var stays bool
		if stays, err = a.Servers.Unmake(ctx, m, born, err); !stays {
			return err
		}
		terminal.Printf(g.Err, "The server %s stays; the same command goes on.\n", born.Host.Server)
	}
	return g.finish(&receipt, err, nil)
}
