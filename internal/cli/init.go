package cli

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/newfleet"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/terminal"
)

type initOptions struct {
	name         string
	showRecovery bool
	signed       bool
	surroundings surroundings
	github       githubOptions
}

func newInit(g *globals) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a control repository and the keys that open it",
		Long: "On a terminal, Init also asks for the Git remote and for the place of the snapshots; both can be left empty and " +
			"added later. It pins the keys of both servers once you confirm them, tries the place if nothing has to be done " +
			"there before, and pushes. It offers to keep the new key open for an hour, as key unlock does. A place is " +
			"sftp://USER@HOST/FOLDER, below the folder that the login begins in; https://USER@HOST/FOLDER for WebDAV; or " +
			"/FOLDER, a disk that every host has at that path. With --github, Init makes a private repository at GitHub and " +
			"keeps the token with the fleet's secrets; hosts are let in by deploy keys (docs/github.md).",
		Args: exactArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error { return runInit(cmd.Context(), g, args[0], o) },
	}
	cmd.Flags().StringVar(&o.name, "name", "", "the fleet's `NAME` (default: the folder's)")
	cmd.Flags().BoolVar(&o.showRecovery, "show-recovery", false, "print the recovery key even if standard output is not a terminal")
	g.noPassphraseFlag(cmd)
	cmd.Flags().StringVar(&o.surroundings.gitRemote, "git-remote", "", "the `URL` of an empty Git repository, where commits are pushed to")
	cmd.Flags().StringVar(&o.surroundings.place, "remote", "", "the `PLACE` of the snapshots, such as sftp://USER@HOST/FOLDER")
	cmd.Flags().StringVar(&o.surroundings.hostKey, "remote-host-key", "", "the SFTP server's expected `FINGERPRINT` (SHA256:…), instead of a question")
	cmd.Flags().StringVar(&o.surroundings.passwordFile, "remote-password-file", "", "read the remote's password from this `FILE`; without one an SFTP server gets an SSH key")
	o.github.flags(cmd)
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
	f := newfleet.Fleet{Dir: abs, Name: o.name, Operator: operatorName(), Identity: g.identity, Work: g.Work}
	if _, err := newfleet.Prepare(ctx, f); err != nil { // before anything is asked
		return err
	}
	if err := o.github.find(ctx, g, abs, o.surroundings); err != nil {
		return err
	}
	o.surroundings.github = &o.github
	around, err := askSurroundings(ctx, g, abs, o.surroundings)
	if err != nil {
		return err
	}
	if err := o.github.make(ctx, g); err != nil {
		return err
	}
	made, passphrase, err := foundFleet(ctx, g, f, o)
	if err != nil {
		return err
	}
	if err := g.printRecovery(made.Recovery, made.Identity, o.showRecovery || g.showsOnTerminal()); err != nil {
		return err
	}
	if !g.json {
		terminal.Printf(g.Err, "\n\n")
	}
	g.dir = abs
	if around.tries, err = keepOpen(ctx, g, made, passphrase); err != nil {
		return err
	}
	next := surround(ctx, g, around)
	if !g.json {
		terminal.Printf(g.Err, "Next, in %s:\n%s\n", dir, terminal.Text(numbered(next)))
	}
	return noteHook(ctx, g, abs)
}

// operatorName is what the operator is called among the recipients.
func operatorName() string {
	if u, err := user.Current(); err == nil && fleet.ValidName(u.Username) == nil {
		return u.Username
	}
	return "operator"
}

// foundFleet asks for what protects the fleet's keys and commits, and makes the fleet.
func foundFleet(ctx context.Context, g *globals, f newfleet.Fleet, o initOptions) (made newfleet.Founded, passphrase secret.Value, err error) {
	if f.Signer, err = g.signer(ctx, o); err != nil {
		return made, passphrase, err
	}
	if f.Passphrase, err = g.newPassphrase(); err != nil {
		return made, passphrase, err
	}
	p, err := newfleet.Prepare(ctx, f)
	if err != nil {
		return made, passphrase, err
	}
	if made, err = accepted(ctx, g, p); err != nil {
		return made, passphrase, err
	}
	_, err = terminal.Printf(g.Err, "The fleet %s is in %s, with its first commit.\nYour key is %s, %s.\n\n", f.Name, f.Dir, made.Identity, protection(f.Passphrase))
	return made, f.Passphrase, err
}

// keepOpen keeps the new key open for an hour if the person at the terminal says yes, so
// that the commands after init do not ask for the passphrase that they just typed. It
// reports whether the key can be used without a passphrase now.
func keepOpen(ctx context.Context, g *globals, made newfleet.Founded, passphrase secret.Value) (bool, error) {
	folder := agents()
	switch {
	case !g.asks():
		return false, nil
	case passphrase.IsZero() || !g.typesPassphrase():
		return true, nil
	case folder == "":
		return false, nil
	}
	err := g.confirm("Keep your key open for an hour, so that no command asks for its passphrase?")
	if errors.Is(err, errNotConfirmed) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	f, err := agekey.Open(made.Identity, agekey.FileOptions{Passphrase: agekey.One(passphrase)})
	if err != nil {
		return false, err
	}
	held, err := unlocked(ctx, folder, f, made.Recovery.Recipient, time.Hour)
	if err != nil {
		g.note(fmt.Errorf("the key is not kept open: %w", err))
		return false, nil
	}
	return true, printUnlocked(g, held)
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
	hook, err := newfleet.PreCommit(ctx, dir)
	if err != nil || !hook.Moved || hook.Calls {
		return err
	}
	_, err = terminal.Printf(g.Err, "note: your Git hooks are in %s (core.hooksPath), so nothing keeps unencrypted "+
		"secrets out of commits yet\n"+
		"hint: %s\n", filepath.Dir(hook.Path), hook.Install())
	return err
}
