package cli

import (
	"github.com/spf13/cobra"
)

func newRecord(g *globals) *cobra.Command {
	return newGroup("record", "The record: the fleet's claims, facts and mirror on a remote", newRecordMove(g))
}
