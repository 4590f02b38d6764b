package cli

import "github.com/spf13/cobra"

func newRemote(g *globals) *cobra.Command {
	return newGroup("remote", "Remotes: where snapshots and the record are", newRemoteLs(g), newRemoteAdd(g), newRemoteRenew(g), newRemoteTest(g), newRemoteUsage(g))
}
