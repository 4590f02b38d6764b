package cli

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/terminal"
)

func newKey(g *globals) *cobra.Command {
	group := newGroup("key", "Keys: yours, the recovery key and its card",
		newKeyNew(g), newKeyUnlock(g), newKeyLock(g), newKeyAgent(g), newKeyRecovery(g), newKeyCard(g), newKeyProve(g), newKeyRotate(g),
		newKeySSH(g), newKeyTrust(g))
	group.RunE = func(cmd *cobra.Command, args []string) error {
		if err := showHelp(cmd, args); err != nil {
			return err
		}
		return printOpenKeys(cmd.Context(), g)
	}
	return group
}

// printOpenKeys lists what key agents hold.
func printOpenKeys(ctx context.Context, g *globals) error {
	_, open, err := agents().All(ctx)
	for _, held := range open {
		if _, err := terminal.Printf(g.Out, "\n%s is open until %s\n", held.Path, clock(held.Until)); err != nil {
			return err
		}
	}
	return err
}
