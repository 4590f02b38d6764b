package cli

import (
	"github.com/spf13/cobra"
)

func newClaim(g *globals) *cobra.Command {
	return newGroup("claim", "Claims on the record remote: whose a stack is", newClaimLs(g), newClaimDrop(g))
}
