package cli

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"path/filepath"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/newfleet"
	"salvor/internal/secret/agekey"
	"salvor/internal/terminal"
)

type initOptions struct {
	name         string
	showRecovery bool
	signed       bool
}

func newInit(g *globals) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a control repository and the keys that open it",
		Args:  exactArgs("DIR"),
		RunE:  func(cmd *cobra.Command, args []string) error { return runInit(cmd.Context(), g, args[0], o) },
	}
	cmd.Flags().StringVar(&o.name, "name", "", "the fleet's `NAME` (default: the folder's)")
	cmd.Flags().BoolVar(&o.showRecovery, "show-recovery", false, "print the recovery key even if standard output is not a terminal")
	g.noPassphraseFlag(cmd)
	cmd.Flags().BoolVar(&o.signed, "signed-commits", false, "plan and apply only commits that your SSH key signed")
	return cmd
}

func runInit(ctx context.Context, g *globals, dir string, o initOptions) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if o.name == "" {
		o.name = filepath.Base(abs)
	}
	if err := fleet.ValidName(o.name); err != nil {
		return fault.WithCode(fault.WithHint(err, "salvor init DIR --name NAME"), fault.Usage)
	}
	if o.showRecovery {
		if err := g.keptPrivate("salvor init DIR, then salvor key card --out FILE"); err != nil {
			return err
		}
	}
	signer, err := g.signer(ctx, o)
	if err != nil {
		return err
	}
	passphrase, err := g.newPassphrase()
	if err != nil {
		return err
	}
	operator := "operator"
	if u, err := user.Current(); err == nil && fleet.ValidName(u.Username) == nil {
		operator = u.Username
	}
	recovery, identity, err := newfleet.Make(ctx, newfleet.Options{Dir: abs, Name: o.name, Operator: operator, Identity: g.identity, Passphrase: passphrase, Work: g.Work, Signer: signer})
	if err != nil {
		return err
	}
	terminal.Printf(g.Err, "The fleet %s is in %s, with its first commit.\nYour key is %s, %s.\n\n", o.name, abs, identity, protection(passphrase))
	if err := g.printRecovery(recovery, identity, o.showRecovery || g.showsOnTerminal()); err != nil || g.json {
		return errors.Join(err, noteHook(ctx, g, abs))
	}
	_, err = terminal.Printf(g.Err, "\n"+
		"\n"+
		"Next: git -C %s remote add origin URL, then salvor host add NAME USER@ADDRESS\n"+
		"(the server must accept your SSH key, or the one that salvor key ssh prints)\n", dir)
	return errors.Join(err, noteHook(ctx, g, abs))
}

// printRecovery prints a new fleet's recovery key, or says how to see it: if the
// output is not read by a person, it may be kept in a log.
func (g *globals) printRecovery(recovery agekey.Key, identity string, show bool) error {
	key := string(recovery.Secret.Reveal())
	switch {
	case g.json && show:
		return g.printJSON(map[string]any{"schema": fleet.Schema, "identity": identity, "recovery_key": key})
	case g.json:
		return g.printJSON(map[string]any{"schema": fleet.Schema, "identity": identity})
	case !show:
		_, err := terminal.Printf(g.Err, "The recovery key opens everything if you lose your key. It is not printed "+
			"here, because standard output is not a\n"+
			"terminal: salvor key card --out FILE writes the recovery card, to print; salvor key recovery shows the key.")
		return err
	}
	terminal.Printf(g.Err, `Below is the recovery key. It opens everything, needs no passphrase, and is for
the day when your key is gone: print it, or write it down, keep it away from this
computer, and clear the terminal, which remembers what it showed.
`+"`salvor key recovery`"+` shows it again as long as you have your key.

`)
	if _, err := g.Out.Write([]byte(key)); err != nil {
		return err
	}
	return endLine(g)
}

// signer returns the key that must sign every commit: the operator's, where they ask
// for it, or say yes because their git signs every commit anyway.
func (g *globals) signer(ctx context.Context, o initOptions) (string, error) {
	key, always, err := newfleet.SigningKey(ctx)
	switch {
	case o.signed && err != nil:
		return "", fault.WithHint(fmt.Errorf("--signed-commits: %w", err), "git config --global gpg.format ssh && git config --global user.signingKey ~/.ssh/id_ed25519.pub")
	case o.signed:
		return key, nil
	case err != nil || !always || g.Term == nil || g.yes:
		return "", nil // it was not asked for
	}
	err = g.confirm("Your git signs every commit. Plan and apply only commits that your key signed?")
	if errors.Is(err, errNotConfirmed) {
		return "", nil
	}
	return key, err
}

// endLine ends the line of a result that is printed without one.
func endLine(g *globals) error {
	if g.Out == g.Err {
		return nil
	}
	_, err := terminal.Printf(g.Out, "\n")
	return err
}

// noteHook says where the operator's own hooks are, into which init writes nothing.
func noteHook(ctx context.Context, g *globals, dir string) error {
	hook, err := app.PreCommit(ctx, dir)
	if err != nil || !hook.Moved || hook.Calls {
		return err
	}
	_, err = terminal.Printf(g.Err, "note: your Git hooks are in %s (core.hooksPath), so nothing keeps unencrypted "+
		"secrets out of commits yet\n"+
		"hint: %s\n", filepath.Dir(hook.Path), hook.Install())
	return err
}
