package cli

import (
	"github.com/spf13/cobra"
)

func newClaim(g *globals) *cobra.Command {
	return newGroup("claim", "Claims on the record remote: which host owns a stack", newClaimLs(g), newClaimDrop(g))
}
