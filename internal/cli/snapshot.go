package cli

import "github.com/spf13/cobra"

func newSnapshot(g *globals) *cobra.Command {
	return newGroup("snapshot", "Snapshots: copies of a stack's data on the remote, read back after each upload", newSnapshotTake(g), newSnapshotLs(g), newSnapshotGet(g), newSnapshotDiff(g), newSnapshotCheck(g), newSnapshotPrune(g))
}
