package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/atomicfile"
	"salvor/internal/card"
	"salvor/internal/fault"
	"salvor/internal/secret/agekey"
	"salvor/internal/terminal"
)

func newKey(g *globals) *cobra.Command {
	return newGroup("key", "Keys: yours, the recovery key and its card",
		newKeyNew(g), newKeyRecovery(g), newKeyCard(g), newKeyProve(g), newKeyRotate(g), newKeySSH(g), newKeyTrust(g))
}

func newKeyRecovery(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "recovery",
		Short: "Show the recovery key again: it opens everything and has no passphrase",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				if err := g.keptPrivate("salvor key card --out FILE makes a file that only you can read"); err != nil {
					return err
				}
				key, err := a.Recovery(cmd.Context())
				if err != nil {
					return err
				}
				return g.printOne("key", string(key.Secret.Reveal()))
			})
		},
	}
}

func newKeySSH(g *globals) *cobra.Command {
	var rotate bool
	cmd := &cobra.Command{
		Use:   "ssh",
		Short: "Print the fleet's public SSH key, which a new server must accept",
		Long: "Anyone who can decrypt the repository can log in to every host with the fleet's SSH key, if the host does " +
			"not accept\n" +
			"their own: a second operator, or the recovery card on a new computer. Hosts accept it after their first " +
			"apply; on a\n" +
			"fresh server, add this line to ~/.ssh/authorized_keys, or give it to your provider where it asks for a key.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				if rotate {
					return rotateSSHKey(cmd.Context(), g, a)
				}
				return printSSHKey(cmd.Context(), g, a)
			})
		},
	}
	cmd.Flags().BoolVar(&rotate, "rotate", false, "replace the key: run it once before and once after an apply; hosts accept both keys in between")
	return cmd
}

func printSSHKey(ctx context.Context, g *globals, a *app.App) error {
	line, made, err := a.SSHKey(ctx)
	if err != nil {
		return err
	}
	if made {
		terminal.Printf(g.Err, "The key is new (committed). After the next salvor apply, every host accepts it.\n")
	}
	return g.printOne("key", line)
}

func rotateSSHKey(ctx context.Context, g *globals, a *app.App) error {
	done, err := a.RotateSSHKey(ctx)
	switch {
	case err != nil:
		return err
	case done:
		terminal.Printf(g.Err, "Every host accepts the new key; the old one was removed (committed). After the next salvor apply, hosts reject it.\n")
	default:
		terminal.Printf(g.Err, "A new key is committed next to the old one. Next: salvor apply, then salvor key ssh --rotate again.\n")
	}
	return nil
}

func newKeyNew(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Make a key for yourself in a fleet that others started; an operator then grants it with salvor secret grant",
		Args:  exactArgs(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return runKeyNew(cmd.Context(), g) },
	}
	g.noPassphraseFlag(cmd)
	return cmd
}

func runKeyNew(ctx context.Context, g *globals) error {
	passphrase, err := g.newPassphrase()
	if err != nil {
		return err
	}
	return g.with(ctx, func(a *app.App) error {
		recipient, path, err := a.NewKey(passphrase)
		if errors.Is(err, fs.ErrExist) {
			return fault.WithHint(fmt.Errorf("%s already exists: %w", path, err), "--identity FILE for a key elsewhere")
		}
		if err != nil {
			return err
		}
		terminal.Printf(g.Err, "Your key is %s, %s. It does not open anything yet; an operator must run:\n  salvor secret grant YOUR-NAME %s\n", path, protection(passphrase), recipient)
		return g.printOne("recipient", recipient)
	})
}

type cardOptions struct {
	html bool
	out  string
}

func newKeyCard(g *globals) *cobra.Command {
	var o cardOptions
	cmd := &cobra.Command{
		Use:   "card",
		Short: "Write the recovery card: everything that you need if all else is lost",
		Long: "The card has the recovery key, the address of the repository, the access to the remote, and the steps to " +
			"take. Print\n" +
			"it, and make a new one when the remote or its password changes. As text it is an age identity file for " +
			"--identity.\n" +
			"--out makes a file that only you can read.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error { return g.writeCard(cmd.Context(), a, o) })
		},
	}
	cmd.Flags().BoolVar(&o.html, "html", false, "a page to print, with QR codes")
	cmd.Flags().StringVar(&o.out, "out", "", "write it to this `FILE`, which only you can read; a file in /dev/shm is never on a disk")
	return prints("a page", cmd)
}

func newKeyProve(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "prove",
		Short: "Try a key on everything a recovery needs, and record the date",
		Long: "Prove opens every secret, every snapshot repository on its remote and the repository's mirror with your " +
			"key, or with\n" +
			"the card that --identity names. Prove the card when you print it, and then once a year.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				p, err := a.Prove(cmd.Context())
				if err != nil {
					return err
				}
				return g.printProof(p)
			})
		},
	}
}

func (g *globals) printProof(p app.Proof) error {
	if g.json {
		return g.printJSON(struct {
			Schema int `json:"schema"`
			app.Proof
		}{1, p})
	}
	key, mirror := "This key", "no mirror of the repository yet"
	if p.Recovery {
		key = "The recovery key"
	}
	if p.Mirror != "" {
		mirror = fmt.Sprintf("the mirror of commit %.7s (%s)", p.Mirror, p.MirrorOf)
	}
	_, err := terminal.Printf(g.Out, "%s opens everything: %d secrets, %d snapshot repositories with %d snapshots, %s.\n", key, p.Secrets, p.Repositories, p.Snapshots, mirror)
	for _, f := range p.Findings {
		_, failed := terminal.Printf(g.Out, "%s: %s\n  fix: %s\n", f.Severity, f, f.Fix)
		err = errors.Join(err, failed)
	}
	for _, d := range p.Damaged {
		_, failed := terminal.Printf(g.Out, "Damaged on the remote, and skipped by a restore: %s\n", d)
		err = errors.Join(err, failed)
	}
	return err
}

func (g *globals) writeCard(ctx context.Context, a *app.App, o cardOptions) error {
	if o.out == "" {
		if err := g.keptPrivate("salvor key card --out FILE"); err != nil {
			return err
		}
	}
	c, err := a.Card(ctx)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if o.html {
		err = c.WriteHTML(&page)
	} else {
		page.Write(c.Text())
	}
	if err != nil {
		return err
	}
	if o.out == "" {
		_, err = terminal.Raw(g.Out).Write(page.Bytes())
		return err
	}
	if err := atomicfile.Write(o.out, &page, 0o600); err != nil {
		return err
	}
	_, err = terminal.Printf(g.Err, "The card is in %s, which only you can read. Print it, then remove the file.\n", o.out)
	return err
}

func newClone(g *globals) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "clone DIR",
		Short: "Clone the control repository with the recovery card",
		Long: "Clone reads the repository from the Git URL on the card. If that is gone, it uses the encrypted mirror " +
			"that apply\n" +
			"keeps on the fleet's remote.",
		Args: exactArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error { return runClone(cmd.Context(), g, file, args[0]) },
	}
	cmd.Flags().StringVar(&file, "card", "", "`FILE` with the card's text, as printed by salvor key card or scanned from it")
	return cmd
}

// maxCard is more than any card, and less than a mistake.
const maxCard = 1 << 20

func runClone(ctx context.Context, g *globals, file, dir string) error {
	if file == "" {
		return fault.WithCode(fault.WithHint(fmt.Errorf("clone needs the recovery card: --card FILE"), "without a card, use git clone"), fault.Usage)
	}
	c, err := readCard(file)
	if err != nil {
		return err
	}
	if at, err := agekey.Look(file); err == nil && at.Exposed() {
		g.note(fmt.Errorf("other users can read %s (mode %04o), and the card's key opens everything: chmod 600 %s", file, at.Mode, file))
	}
	clone, err := app.CloneByCard(ctx, c, dir)
	if err != nil {
		return err
	}
	for _, n := range clone.Notes {
		terminal.Printf(g.Err, "note: %s\n", n)
	}
	terminal.Printf(g.Err, "The fleet %s is in %s, from %s.\n\nNext, if a host is lost: salvor -C %s --identity %s recover HOST --to NEW=root@ADDRESS\n", c.Fleet, dir, clone.From, dir, file)
	return nil
}

func readCard(file string) (c card.Card, err error) {
	in, err := os.Open(file)
	if err != nil {
		return c, err
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxCard))
	if err != nil {
		return c, err
	}
	if c, err = card.Parse(text); err != nil {
		err = fault.WithHint(fmt.Errorf("%s: %w", file, err), "compare the file with the printed page, or scan its codes again")
	}
	return c, err
}
