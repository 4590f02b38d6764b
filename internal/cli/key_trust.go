package cli

import (
	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/sign"
	"salvor/internal/terminal"
)

func newKeyTrust(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "trust [FINGERPRINT…]",
		Short: "Show the fleet's signing key that this clone trusts, or trust the one in Git",
		Long: "A file that should be signed with the fleet's signing key, such as a claim, does not count without that " +
			"signature.\n" +
			"A clone made by salvor init or by salvor clone (with the card) trusts the key already. Every other clone " +
			"asks once,\n" +
			"and again if the key in Git changes. Compare the fingerprint with the card, or with the output of this " +
			"command in\n" +
			"another operator's clone. Without a terminal, name the fingerprint.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, fingerprints []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				keys, err := a.Confirmed.Trust(fingerprints)
				if err != nil {
					return err
				}
				return g.printSigners(keys)
			})
		},
	}
}

func (g *globals) printSigners(keys sign.Keys) error {
	if g.json {
		return g.printJSON(struct {
			Schema  int       `json:"schema"`
			Signers sign.Keys `json:"signers"`
		}{1, keys})
	}
	for _, k := range keys {
		if _, err := terminal.Printf(g.Out, "%s %s\n", k.Fingerprint(), k); err != nil {
			return err
		}
	}
	return nil
}
