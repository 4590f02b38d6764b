package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine/ssh"
	"salvor/internal/recovery"
)

type recoverOptions struct {
	to         string
	without    []string
	only       []string
	hostKey    string
	acceptLoss bool
	from       string
	stolen     bool
	login      firstLoginOptions
	create     string
	server     createOptions
}

func newRecover(g *globals) *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use:   "recover HOST [--to NAME[=[USER@]ADDRESS[:PORT]]]",
		Short: "Bring back the stacks of a lost host on another one, with their data",
		Long: "Recover needs the repository, your key and the remote; it does not need the lost host.\nThe host named " +
			"by --to can be a declared one, or a new one: NAME=ADDRESS adds it.\nWithout --to every other host is asked which stacks " +
			"fit there, and all of them are recovered, each where it fits, once you said yes.\nIf a recovery is interrupted, run it " +
			"again to finish it, also when the lost host answers by then.",
		Args: exactArgs("HOST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := contradicting(cmd, "without", "only"); err != nil {
				return err
			}
			return runRecover(cmd.Context(), g, args[0], o)
		},
	}
	cmd.Flags().StringVar(&o.to, "to", "", "`NAME[=ADDRESS]` of the new host")
	cmd.Flags().StringSliceVar(&o.without, "without", nil, "`STACK` that stays placed on the lost host, to be recovered later; host.HOST for its own routes")
	cmd.Flags().StringSliceVar(&o.only, "only", nil, "`STACK` to recover; all others stay placed on the lost host, and so do its own routes unless host.HOST is among them")
	cmd.Flags().StringVar(&o.hostKey, "host-key", "", "the new host's expected `FINGERPRINT` (SHA256:…), instead of a question")
	cmd.Flags().BoolVar(&o.acceptLoss, "accept-loss", false, "recover even if the host answers, or if the remote lost a "+
		"newest snapshot: data written after the newest snapshot that is left is lost")
	o.login.flags(cmd)
	cmd.Flags().StringVar(&o.create, "create", "", "have a cloud make the host of --to: `PROVIDER:TYPE[@REGION]`, such as aws:t3.small@eu-central-1; see host create")
	cmd.Flags().StringSliceVar(&o.server.from, "ssh-from", nil, "`CIDR` from which the host of --create lets SSH in")
	o.server.flags(cmd)
	cmd.Flags().StringVar(&o.from, "from", "", "`TARGET` to take the snapshots from, without asking the others: what only they have is lost (default: the one that has the newest)")
	cmd.Flags().BoolVar(&o.stolen, "compromised", false, "someone else has the host's disk: its stacks get new snapshot "+
		"repositories, and the secrets that it could open are listed until they are changed")
	return cmd
}

func runRecover(ctx context.Context, g *globals, lost string, o recoverOptions) error {
	switch made := &o.server; {
	case o.create != "":
		return runRecoverCreate(ctx, g, lost, o)
	case len(made.from) > 0 || made.image != "" || made.disk != 0:
		return fault.WithCode(fault.WithHint(errors.New("--ssh-from, --image and --disk are about the host of --create"), fmt.Sprintf("salvor recover %s --to NAME --create aws:t3.small", lost)), fault.Usage)
	case o.to == "":
		return runWhere(ctx, g, lost, o)
	}
	return g.with(ctx, func(a *app.App) error {
		unlockAhead(g, a)
		name, address, isNew := strings.Cut(o.to, "=")
		to := fleet.Host{Name: name}
		if isNew {
			var err error
			if to, err = parseHost(name, address); err != nil {
				return err
			}
		}
		trust := func(ctx context.Context, h fleet.Host) (ssh.PublicKey, error) {
			key, err := g.trust(ctx, a, h, o.hostKey, "--host-key")
			if err != nil {
				return key.Key, err
			}
			return key.Key, letIn(ctx, g, a, h, key.Key, o.login)
		}
		p, err := recovery.Prepare(ctx, a.ForRecovery(), o.options(lost, to, isNew, trust))
		if err != nil {
			return err
		}
		return g.carryOut(ctx, p)
	})
}

// options are those of a recovery on a host.
func (o *recoverOptions) options(lost string, to fleet.Host, isNew bool, trust func(context.Context, fleet.Host) (ssh.PublicKey, error)) recovery.Options {
	return recovery.Options{
		Lost: lost, To: to, New: isNew, Trust: trust, Without: o.without, Only: o.only, AcceptLoss: o.acceptLoss, From: o.from, Compromised: o.stolen,
	}
}

// unlockAhead begins to open the identity, unless a program does that, which may ask for
// something.
func unlockAhead(g *globals, a *app.App) {
	if g.Term == nil || g.passphraseFile != "" {
		a.Identity.Unlock()
	}
}

// runWhere shows where the stacks of a lost host fit, and recovers each there.
func runWhere(ctx context.Context, g *globals, lost string, o recoverOptions) error {
	for _, flag := range [][2]string{{"--host-key", o.hostKey}, {"--password-file", o.login.passwordFile}, {"--new-password-file", o.login.newPasswordFile}} {
		if flag[1] != "" {
			return fault.WithCode(fault.WithHint(errors.New(flag[0]+" is about the host of --to"), fmt.Sprintf("salvor recover %s --to NAME=ADDRESS", lost)), fault.Usage)
		}
	}
	return g.with(ctx, func(a *app.App) error {
		options := recovery.Options{Lost: lost, Without: o.without, Only: o.only, AcceptLoss: o.acceptLoss, From: o.from, Compromised: o.stolen}
		where, err := recovery.Look(ctx, a.ForRecovery(), options, g.progress())
		if err != nil {
			return err
		}
		if g.json && !g.yes {
			return g.printJSON(where)
		}
		if err := printWhere(g, &where); err != nil {
			return err
		}
		unlockAhead(g, a)
		p, err := recovery.PrepareSpread(ctx, a.ForRecovery(), options, where)
		if err != nil {
			return err
		}
		return g.carryOut(ctx, p)
	})
}

func printWhere(g *globals, where *recovery.Where) error {
	if g.json {
		return nil // the receipt is what it prints
	}
	g.progress().Close()
	page := g.page()
	where.Render(page)
	return page.Err()
}
