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
	"salvor/internal/secret"
)

type initOptions struct {
	name string
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
	passphrase, err := g.newPassphrase()
	if err != nil {
		return err
	}
	operator := "operator"
	if u, err := user.Current(); err == nil && fleet.ValidName(u.Username) == nil {
		operator = u.Username
	}
	recovery, identity, err := app.Init(ctx, app.NewFleet{Dir: abs, Name: o.name, Operator: operator, Identity: g.identity, Passphrase: passphrase, Work: g.Work})
	if err != nil {
		return err
	}
	fmt.Fprintf(g.Err, `The fleet %s is in %s, with its first commit.
Your key is %s, protected by the passphrase.

Below is the recovery key. It opens everything, needs no passphrase, and is for
the day when your key is gone: print it, or write it down, and keep it away from
this computer. `+"`salvor key recovery`"+` shows it again as long as you have your key.

`, o.name, abs, identity)
	if g.json {
		return errors.Join(g.printOne("recovery_key", string(recovery.Secret.Reveal())), noteHook(ctx, g, abs))
	}
	if _, err := g.Out.Write(recovery.Secret.Reveal()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(g.Err, "\n\nNext: git -C %s remote add origin URL, then salvor host add NAME USER@ADDRESS\n(the server lets in your SSH key, or the one that salvor key ssh prints)\n", dir)
	return errors.Join(err, endLine(g), noteHook(ctx, g, abs))
}

// endLine ends the line of a result that is printed without one.
func endLine(g *globals) error {
	if g.Out == g.Err {
		return nil
	}
	_, err := fmt.Fprintln(g.Out)
	return err
}

// noteHook says where the operator's own hooks are, into which init writes nothing.
func noteHook(ctx context.Context, g *globals, dir string) error {
	hook, err := app.PreCommit(ctx, dir)
	if err != nil || !hook.Moved || hook.Calls {
		return err
	}
	_, err = fmt.Fprintf(g.Err, "note: your Git hooks are in %s (core.hooksPath), so nothing keeps a secret in clear out of a commit yet\nhint: %s\n", filepath.Dir(hook.Path), hook.Install())
	return err
}

// newPassphrase asks twice, or reads --passphrase-file once.
func (g *globals) newPassphrase() (secret.Value, error) {
	first, err := g.passphrase("Passphrase for your key: ")
	if err != nil || g.passphraseFile != "" {
		return first, err
	}
	if first.IsZero() {
		return first, fault.WithHint(errors.New("an empty passphrase protects nothing"), "choose one, and keep it in a password manager")
	}
	again, err := g.passphrase("The same again: ")
	if err == nil && string(again.Reveal()) != string(first.Reveal()) {
		err = errors.New("the two passphrases differ; nothing was made")
	}
	return first, err
}
