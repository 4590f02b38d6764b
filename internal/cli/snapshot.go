package cli

import (
	"io"

	"github.com/spf13/cobra"

	"salvor/internal/finding"
	"salvor/internal/terminal"
)

func newSnapshot(g *globals) *cobra.Command {
	return newGroup("snapshot", "Snapshots: copies of a stack's data on the remote, read back after each upload", newSnapshotTake(g), newSnapshotLs(g), newSnapshotPrune(g))
}

func printFindings(w io.Writer, found []finding.Finding) {
	for _, f := range found {
		terminal.Printf(w, "  %s  %s: %s\n", f.Severity, f.Subject, f.Text)
		if f.Fix != "" {
			terminal.Printf(w, "  fix: %s\n", f.Fix)
		}
	}
}
