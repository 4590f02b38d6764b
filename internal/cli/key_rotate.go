package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/keys"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

type keyRotateOptions struct {
	recovery       bool
	signing        bool
	compromised    bool
	passphraseFile string
}

func newKeyRotate(g *globals) *cobra.Command {
	var o keyRotateOptions
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace your key or the recovery key, and encrypt everything to the new one; or replace the fleet's signing key",
		Long: "Rotate makes the new key next to the old one, encrypts everything to it in one commit, checks that it " +
			"opens all of\n" +
			"that, and then puts it in the old one's place. If it is interrupted, run it again to finish it. If others " +
			"may have\n" +
			"the old key, --compromised does the same as the removal of an operator.\n" +
			"\n" +
			"The fleet's signing key is replaced once every host trusts the new one; if a host did not answer, run it " +
			"again.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, other := range []string{"recovery", "compromised", "new-passphrase-file"} {
				if err := contradicting(cmd, "signing", other); err != nil {
					return err
				}
			}
			if o.signing {
				return runRotateSigning(cmd.Context(), g)
			}
			if o.recovery {
				return runRotateRecovery(cmd.Context(), g, o)
			}
			return runKeyRotate(cmd.Context(), g, o)
		},
	}
	cmd.Flags().BoolVar(&o.recovery, "recovery", false, "replace the recovery key, not yours")
	cmd.Flags().BoolVar(&o.signing, "signing", false, "replace the fleet's signing key")
	cmd.Flags().BoolVar(&o.compromised, "compromised", false, "others may have the old key: also make new snapshot "+
		"repositories, and list the secrets to change")
	g.noPassphraseFlag(cmd)
	cmd.Flags().StringVar(&o.passphraseFile, "new-passphrase-file", "", "read the new key's passphrase from this file, for instance /dev/fd/4")
	return cmd
}

func runKeyRotate(ctx context.Context, g *globals, o keyRotateOptions) error {
	if o.passphraseFile == "" && !g.noPassphrase && g.Term == nil {
		return fault.WithCode(fault.WithHint(errors.New("no terminal to ask for the new key's passphrase"), "--new-passphrase-file FILE"), fault.Usage)
	}
	fresh := *g
	fresh.passphraseFile, fresh.passphraseCommand = o.passphraseFile, "" // those of the old key's
	var chosen secret.Value
	phrase := func(path string) (_ secret.Value, err error) {
		if path != "" && !g.noPassphrase {
			chosen, err = fresh.passphrase(fmt.Sprintf("Passphrase of %s, which an earlier run made: ", path))
		} else {
			chosen, err = fresh.newPassphrase()
		}
		return chosen, err
	}
	return g.with(ctx, func(a *app.App) error {
		r, err := accepted(ctx, g, a.Keys.PrepareRotate(keys.Rotation{Compromised: o.compromised, Passphrase: phrase}))
		if err != nil {
			return err
		}
		if r.Old != "" {
			g.note(lockFile(ctx, r.Old))
			if _, err := os.Stat(inKeychain(r.Path)); err == nil {
				g.note(forget(ctx, g, r.Path)) // it has the old key's
			}
		}
		return g.printRotatedKey(r, chosen, o)
	})
}

func (g *globals) printRotatedKey(r keys.Rotated, passphrase secret.Value, o keyRotateOptions) error {
	if r.Finished {
		terminal.Printf(g.Err, "An earlier run had committed the change; this run finished it.\n")
	}
	terminal.Printf(g.Err, "%s has a new key, %s, %s. It opens everything in the newest commit (checked).\n", r.Operator, r.Path, protection(passphrase))
	if r.Old != "" {
		terminal.Printf(g.Err, "The old key does not open anything new. It still opens the history, so delete it and its copies: shred -u %s\n", r.Old)
	}
	if o.compromised {
		g.explainRemoval("anyone who has the old key", r.Receipt)
		return g.printExposed(exposure{Operator: r.Operator, Stacks: r.Stacks, Secrets: r.Exposed})
	}
	terminal.Printf(g.Err, "If no one else had the old key, no secret has to change, and the recovery key and its card "+
		"stay valid.\n"+
		"Otherwise: salvor key rotate --compromised\n")
	return nil
}

func runRotateSigning(ctx context.Context, g *globals) error {
	return g.with(ctx, func(a *app.App) error {
		if _, err := accepted(ctx, g, a.Keys.PrepareRotateSigning()); err != nil {
			return err
		}
		terminal.Printf(g.Err, "There is a new signing key (committed). Next: salvor apply, after which hosts trust only "+
			"this key, and a new card: salvor key card\n")
		return nil
	})
}

func runRotateRecovery(ctx context.Context, g *globals, o keyRotateOptions) error {
	return g.with(ctx, func(a *app.App) error {
		h, err := accepted(ctx, g, a.Keys.PrepareRotateRecovery(o.compromised))
		if err != nil {
			return err
		}
		terminal.Printf(g.Err, "There is a new recovery key (committed). Print the card again: salvor key card\n")
		if !o.compromised {
			terminal.Printf(g.Err, "Destroy the old cards: they still open the history. If others may have seen one: "+
				"salvor key rotate --recovery --compromised\n")
			return nil
		}
		g.explainRemoval("anyone who has the old card", h)
		return g.printExposed(exposure{Stacks: h.Stacks, Secrets: h.Exposed})
	})
}
