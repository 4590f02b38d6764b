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
	stolen     bool
}

func newRecover(g *globals) *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use:   "recover HOST [--to NAME[=[USER@]ADDRESS[:PORT]]]",
		Short: "Bring back the stacks of a lost host on another one, with their data",
		Long: "Recover needs the repository, your key and the remote; it does not need the lost host.\nThe host named " +
			"by --to can be a declared one, or a new one: NAME=ADDRESS adds it.\nWithout --to nothing is recovered: every other host " +
			"is asked which stacks fit there, and the commands are printed that recover them.\nIf a recovery is interrupted, run it " +
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
	cmd.Flags().StringSliceVar(&o.without, "without", nil, "`STACK` that stays placed on the lost host, to be recovered later")
	cmd.Flags().StringSliceVar(&o.only, "only", nil, "`STACK` to recover; all others stay placed on the lost host")
	cmd.Flags().StringVar(&o.hostKey, "host-key", "", "the new host's expected `FINGERPRINT` (SHA256:…), instead of a question")
	cmd.Flags().BoolVar(&o.acceptLoss, "accept-loss", false, "recover even if the host answers, or if the remote lost a "+
		"newest snapshot: data written after the newest snapshot that is left is lost")
	cmd.Flags().BoolVar(&o.stolen, "compromised", false, "someone else has the host's disk: its stacks get new snapshot "+
		"repositories, and the secrets that it could open are listed until they are changed")
	return cmd
}

func runRecover(ctx context.Context, g *globals, lost string, o recoverOptions) error {
	if o.to == "" {
		return runWhere(ctx, g, lost, o)
	}
	return g.with(ctx, func(a *app.App) error {
		if g.Term == nil || g.passphraseFile != "" { // not a program, which may ask for something
			a.Identity.Unlock()
		}
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
			return key.Key, err
		}
		p, err := recovery.Prepare(ctx, a.ForRecovery(), recovery.Options{
			Lost: lost, To: to, New: isNew, Trust: trust, Without: o.without, Only: o.only, AcceptLoss: o.acceptLoss, Compromised: o.stolen,
		})
		if err != nil {
			return err
		}
		return g.carryOut(ctx, p)
	})
}

// runWhere prints where the stacks of a lost host fit.
func runWhere(ctx context.Context, g *globals, lost string, o recoverOptions) error {
	if len(o.without)+len(o.only) > 0 || o.hostKey != "" || o.acceptLoss || o.stolen {
		return fault.WithCode(fault.WithHint(errors.New("recover needs the new host"), fmt.Sprintf("salvor recover %s --to NAME=ADDRESS", lost)), fault.Usage)
	}
	bar := g.progress()
	return g.with(ctx, func(a *app.App) error {
		where, err := recovery.Look(ctx, a.ForRecovery(), lost, bar)
		bar.Close()
		if err != nil {
			return err
		}
		if g.json {
			return g.printJSON(where)
		}
		page := g.page()
		where.Render(page)
		return page.Err()
	})
}
