package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/remotes"
	"salvor/internal/terminal"
)

func newRemoteUsage(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "usage [REMOTE]",
		Short: "Show how full remotes are, and how much of it is whose",
		Args:  mostArgs("REMOTE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRemoteUsage(cmd.Context(), g, strings.Join(args, ""))
		},
	}
}

func runRemoteUsage(ctx context.Context, g *globals, name string) error {
	return g.with(ctx, func(a *app.App) error {
		all, err := remotes.New(a.Checkout, a.Record.Open).Usage(ctx, name, g.progress())
		if err != nil {
			return err
		}
		g.progress().Close()
		errs := []error{printUsage(g, all)}
		for _, u := range all {
			errs = append(errs, fault.WithCode(u.Err, fault.Unreachable))
		}
		return errors.Join(errs...)
	})
}

func printUsage(g *globals, all []remotes.Usage) error {
	type row struct {
		Remote string           `json:"remote"`
		Used   *int64           `json:"used,omitempty"`
		Free   *int64           `json:"free,omitempty"`
		Quota  *int64           `json:"quota,omitempty"`
		Trash  *int64           `json:"trash,omitempty"`
		Fleet  int64            `json:"fleet"`
		Stacks map[string]int64 `json:"stacks"`
	}
	if g.json {
		rows := []row{}
		for _, u := range all {
			if u.Err == nil {
				rows = append(rows, row{u.Remote, u.Room.Used, u.Room.Free, u.Room.Total, u.Room.Trash, u.Total(), u.Stacks})
			}
		}
		return g.printJSON(struct {
			Schema  int   `json:"schema"`
			Remotes []row `json:"remotes"`
		}{fleet.Schema, rows})
	}
	tab := tabwriter.NewWriter(g.Out, 0, 0, 3, ' ', 0)
	terminal.Printf(tab, "REMOTE\tUSED\tFREE\tQUOTA\tTHIS FLEET\n")
	for _, u := range slices.DeleteFunc(slices.Clone(all), func(u remotes.Usage) bool { return u.Err != nil }) {
		terminal.Printf(tab, "%s\t%s\t%s\t%s\t%s\n", u.Remote, bytesOr(u.Room.Used), bytesOr(u.Room.Free), bytesOr(u.Room.Total), terminal.Bytes(u.Total()))
		for _, stack := range u.Largest() {
			terminal.Printf(tab, "  %s\t\t\t\t%s\n", stack, terminal.Bytes(u.Stacks[stack]))
		}
	}
	return tab.Flush()
}

// bytesOr prints a size, or that the remote does not say.
func bytesOr(n *int64) string {
	if n == nil {
		return "-"
	}
	return terminal.Bytes(max(*n, 0))
}
