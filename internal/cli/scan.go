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
		Short: "Look for unencrypted secrets in the control repository's files",
		Long: "Scan reads the files that a commit of everything would contain: tracked files, and new ones that " +
			".gitignore does not\nname. A line with the comment salvor:allow is skipped.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := contradicting(cmd, "staged", "history"); err != nil {
				return err
			}
			return runScan(cmd.Context(), g, o)
		},
	}
	cmd.Flags().BoolVar(&o.staged, "staged", false, "scan only what the next commit adds or changes; the pre-commit hook does this")
	cmd.Flags().BoolVar(&o.history, "history", false, "scan everything that was ever on any branch")
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
	hint := leaks.Advice(found)
	if o.history {
		hint = "change these values where they are used: Git keeps its history"
	}
	return fault.WithHint(fmt.Errorf("%s found unencrypted", terminal.Count(len(found), "secret")), hint)
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
