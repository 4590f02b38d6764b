package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/prove"
	"salvor/internal/terminal"
)

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
				p, err := accepted(cmd.Context(), g, prove.Prepare(a.ForProve()))
				if err != nil {
					return err
				}
				return g.printProof(p)
			})
		},
	}
}

func (g *globals) printProof(p prove.Proof) error {
	if g.json {
		return g.printJSON(struct {
			Schema int `json:"schema"`
			prove.Proof
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
