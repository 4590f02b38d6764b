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
	hostKey    string
	acceptLoss bool
	stolen     bool
}

func newRecover(g *globals) *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use:   "recover HOST --to NAME[=[USER@]ADDRESS[:PORT]]",
		Short: "Bring the stacks of a lost host back on another one, with their data",
		Long:  "Recover needs the repository, your key and the remote; the lost host is not needed.\nThe host named by --to may be declared already, or new: NAME=ADDRESS adds it.\nA recovery that was cut short is finished by running it again.",
		Args:  exactArgs("HOST"),
		RunE:  func(cmd *cobra.Command, args []string) error { return runRecover(cmd.Context(), g, args[0], o) },
	}
	cmd.Flags().StringVar(&o.to, "to", "", "`NAME[=ADDRESS]` of the host that takes over")
	cmd.Flags().StringVar(&o.hostKey, "host-key", "", "the new host's expected `SHA256:…` fingerprint, instead of being asked")
	cmd.Flags().BoolVar(&o.acceptLoss, "accept-loss", false, "recover although the host answers, or the remote has lost a newest snapshot: what was written since the newest that is there is lost")
	cmd.Flags().BoolVar(&o.stolen, "compromised", false, "somebody else has the host's disk: its stacks get new snapshot repositories, and what it could open is listed until it is changed")
	return cmd
}

func runRecover(ctx context.Context, g *globals, lost string, o recoverOptions) error {
	if o.to == "" {
		return fault.WithCode(fault.WithHint(errors.New("recover needs the host that takes over"), fmt.Sprintf("salvor recover %s --to NAME=ADDRESS", lost)), fault.Usage)
	}
	return g.with(ctx, func(a *app.App) error {
		if g.Term == nil || g.passphraseFile != "" {
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
		p, err := recovery.Prepare(ctx, a.ForRecovery(), recovery.Options{Lost: lost, To: to, New: isNew, Trust: trust, AcceptLoss: o.acceptLoss, Compromised: o.stolen})
		if err != nil {
			return err
		}
		return g.carryOut(ctx, p)
	})
}
