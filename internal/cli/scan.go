package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"salvor/internal/checkout"
	"salvor/internal/fault"
	"salvor/internal/leaks"
	"salvor/internal/scan"
	"salvor/internal/terminal"
)

type scanOptions struct {
	staged  bool
	history bool
}

func newScan(g *globals) *cobra.Command {
	var o scanOptions
	cmd := &cobra.Command{
		Use:   "scan",
		Short: "Look for plain secrets in the control repository's files",
		Long:  "Scan looks where a commit of everything would reach: tracked files, and new ones that no ignore rule names.\nA line with the comment salvor:allow is passed over.",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.staged && o.history {
				return usage(cmd, "--staged and --history are two different scans")
			}
			return runScan(cmd.Context(), g, o)
		},
	}
	cmd.Flags().BoolVar(&o.staged, "staged", false, "only what the next commit adds or changes; the pre-commit hook does this")
	cmd.Flags().BoolVar(&o.history, "history", false, "everything that any branch has ever held")
	return cmd
}

func runScan(ctx context.Context, g *globals, o scanOptions) error {
	c, err := checkout.OpenFiles(ctx, g.options(nil).Dir)
	if err != nil {
		return err
	}
	look := leaks.Work
	switch {
	case o.staged:
		look = leaks.Staged
	case o.history:
		look = leaks.History
	}
	found, err := look(ctx, c)
	if err != nil {
		return err
	}
	if err := g.printLeaks(found); err != nil || len(found) == 0 {
		return err
	}
	hint := "salvor secret set NAME keeps it encrypted"
	if o.history {
		hint = "change these values where they are used: Git keeps what it once held"
	}
	return fault.WithHint(fmt.Errorf("%s in clear", terminal.Count(len(found), "secret")), hint)
}

func (g *globals) printLeaks(found []scan.Leak) error {
	if g.json {
		return g.printJSON(struct {
			Schema int         `json:"schema"`
			Leaks  []scan.Leak `json:"leaks"`
		}{1, append([]scan.Leak{}, found...)})
	}
	var errs []error
	for _, l := range found {
		_, err := terminal.Printf(g.Out, "%s\n", l)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
