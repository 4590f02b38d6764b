package cli

import (
	"github.com/spf13/cobra"
)

func newKey(g *globals) *cobra.Command {
	return newGroup("key", "Keys: yours, the recovery key and its card",
		newKeyNew(g), newKeyRecovery(g), newKeyCard(g), newKeyProve(g), newKeyRotate(g), newKeySSH(g), newKeyTrust(g))
}
