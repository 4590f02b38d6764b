package cli

import (
	"bytes"
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/atomicfile"
	"salvor/internal/terminal"
)

func newKeyCard(g *globals) *cobra.Command {
	var o cardOptions
	cmd := &cobra.Command{
		Use:   "card",
		Short: "Write the recovery card: everything that you need if all else is lost",
		Long: "The card has the recovery key, the address of the repository, the access to the remotes, and the steps to " +
			"take. Print\n" +
			"it, and make a new one when a remote with data or its password changes. As text it is an age identity file for " +
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

type cardOptions struct {
	html bool
	out  string
}

func (g *globals) writeCard(ctx context.Context, a *app.App, o cardOptions) error {
	if o.out == "" {
		if err := g.keptPrivate("salvor key card --out FILE"); err != nil {
			return err
		}
	}
	c, err := a.Mirrors.Card(ctx)
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
