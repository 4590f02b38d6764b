package cli

import (
	"github.com/spf13/cobra"
)

func newSecret(g *globals) *cobra.Command {
	return newGroup("secret", "Secrets: encrypted in Git, plain only in memory on the host that needs them",
		newSecretSet(g), newSecretGet(g), newSecretEdit(g), newSecretImport(g), newSecretRotate(g), newSecretRm(g), newSecretGrant(g), newSecretRevoke(g), newSecretLs(g), newSecretAudit(g))
}
