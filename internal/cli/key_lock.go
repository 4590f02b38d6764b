package cli

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fleet"
	"salvor/internal/keyagent"
	"salvor/internal/terminal"
)

func newKeyLock(g *globals) *cobra.Command {
	keychain := false
	cmd := &cobra.Command{
		Use:   "lock",
		Short: "Close every key that salvor key unlock keeps open",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if keychain {
				return errors.Join(runKeyLock(cmd.Context(), g), g.with(cmd.Context(), func(a *app.App) error {
					f, err := a.Identity.File()
					if err != nil {
						return err
					}
					return forget(cmd.Context(), g, f.Path())
				}))
			}
			return runKeyLock(cmd.Context(), g)
		},
	}
	cmd.Flags().BoolVar(&keychain, "keychain", false, "also remove your passphrase from the system's keychain")
	return cmd
}

func runKeyLock(ctx context.Context, g *globals) error {
	folder, err := keyagent.UsualFolder()
	if err != nil {
		return err
	}
	agents, held, err := folder.All(ctx)
	if err != nil {
		return err
	}
	locked := []string{}
	for i, agent := range agents {
		if err := agent.Lock(ctx); err != nil && !errors.Is(err, keyagent.ErrNone) {
			return err
		}
		locked = append(locked, held[i].Path)
	}
	if g.json {
		return g.printJSON(map[string]any{"schema": fleet.Schema, "locked": locked})
	}
	for _, path := range locked {
		terminal.Printf(g.Err, "%s is closed\n", path)
	}
	if len(locked) == 0 {
		terminal.Printf(g.Err, "no key was open\n")
	}
	return nil
}

// lockFile closes the key of an identity file, if it is open: nothing needs it any more.
func lockFile(ctx context.Context, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	agent, _, err := agents().Find(ctx, content)
	if err == nil {
		err = agent.Lock(ctx)
	}
	if errors.Is(err, keyagent.ErrNone) {
		return nil
	}
	return err
}
