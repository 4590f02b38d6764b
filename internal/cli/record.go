package cli

import (
	"github.com/spf13/cobra"
)

func newRecord(g *globals) *cobra.Command {
	return newGroup("record", "Where the fleet keeps claims, facts and its mirror", newRecordMove(g))
}
