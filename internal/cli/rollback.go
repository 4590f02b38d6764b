package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/project"
	"salvor/internal/rollback"
	"salvor/internal/terminal"
)

type rollbackOptions struct {
	to       string
	withData bool
	keepData bool
	list     bool
}

func newRollback(g *globals) *cobra.Command {
	var o rollbackOptions
	cmd := &cobra.Command{
		Use:   "rollback STACK",
		Short: "Return a stack to an earlier deploy: its files and its images",
		Long: "Rollback commits the stack's folder and image digests as they were and applies that. Secrets stay as they " +
			"are now.\n" +
			"An older image with newer data is refused: --with-data restores the newest snapshot that was taken while it " +
			"ran.",
		Args: exactArgs("STACK"),
		RunE: func(cmd *cobra.Command, args []string) error { return runRollback(cmd.Context(), g, args[0], o) },
	}
	cmd.Flags().StringVar(&o.to, "to", "", "the deploy of this `COMMIT` (default: the previous one)")
	cmd.Flags().BoolVar(&o.withData, "with-data", false, "also restore the data from that deploy")
	cmd.Flags().BoolVar(&o.keepData, "keep-data", false, "keep the data even if an image gets older: you know that it works")
	cmd.Flags().BoolVar(&o.list, "list", false, "list the earlier deploys and change nothing")
	return cmd
}

func runRollback(ctx context.Context, g *globals, stack string, o rollbackOptions) error {
	if o.withData && o.keepData {
		return fault.WithCode(fault.WithHint(errors.New("--with-data and --keep-data contradict each other"), "salvor rollback --help"), fault.Usage)
	}
	return g.with(ctx, func(a *app.App) error {
		again := reopened{g: g}
		defer again.close(ctx)
		stack, err := a.Stack(stack)
		if err != nil {
			return err
		}
		f := a.ForRollback(again.session)
		if o.list {
			now, earlier, err := f.Deploys(ctx, stack)
			if err != nil {
				return err
			}
			return g.printDeploys(now, earlier)
		}
		p, err := rollback.Prepare(ctx, f, stack, rollback.Options{To: o.to, WithData: o.withData, KeepData: o.keepData})
		if err != nil {
			return err
		}
		return g.carryOut(ctx, p)
	})
}

// printDeploys lists what a stack is and was, newest first.
func (g *globals) printDeploys(now rollback.Deploy, earlier []rollback.Deploy) error {
	type row struct {
		Commit string            `json:"commit"`
		At     time.Time         `json:"at"`
		Now    bool              `json:"now,omitempty"`
		Images map[string]string `json:"images,omitempty"`
	}
	rows := []row{{string(now.Commit), now.At, true, now.Images}}
	for _, d := range earlier {
		rows = append(rows, row{string(d.Commit), d.At, false, d.Images})
	}
	if g.json {
		return g.printJSON(struct {
			Schema  int   `json:"schema"`
			Deploys []row `json:"deploys"`
		}{1, rows})
	}
	tab := tabwriter.NewWriter(g.Out, 0, 0, 3, ' ', 0)
	terminal.Printf(tab, "COMMIT\tTIME\tIMAGES\n")
	for _, r := range rows {
		at := r.At.Format(time.DateTime)
		if r.Now {
			at += " (now)"
		}
		terminal.Printf(tab, "%.7s\t%s\t%s\n", r.Commit, at, strings.Join(shortImages(r.Images), ", "))
	}
	return tab.Flush()
}

// shortImages is "service repository:tag@digest", with the digest's beginning.
func shortImages(images map[string]string) []string {
	var all []string
	for _, service := range slices.Sorted(maps.Keys(images)) {
		digest := strings.TrimPrefix(project.Digest(images[service]), "sha256:")
		all = append(all, fmt.Sprintf("%s %s@%.8s", service, project.Tagged(images[service]), digest))
	}
	return all
}
