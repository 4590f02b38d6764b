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
		Short: "Show the fleet's signing key that this clone trusts, or trust the one that Git has",
		Long: "What the fleet's signing key did not sign, a claim for instance, is not the fleet's. The clone that salvor init\n" +
			"made trusts its key, and so does one that salvor clone made with the card. Every other clone asks once,\n" +
			"and again when Git has another key. Compare the fingerprint with the card, or with what this command prints in another\n" +
			"operator's clone. Where there is no terminal, name the fingerprint.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, fingerprints []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				keys, err := a.Confirmed.Trust(cmd.Context(), fingerprints)
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
