package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/parts"
	"salvor/internal/terminal"
)

func newSnapshotDiff(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "diff [STACK] ID ID",
		Short: "Show what changed from one snapshot of a stack to another",
		Long: "Diff compares the files of two snapshots with your own credentials: + is new in the second, - is gone, ~ has changed.\n" +
			"Times of files do not count. An ID is the beginning of an id, or latest, which needs STACK. The two may be in different\n" +
			"repositories of the stack.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 || len(args) == 3 {
				return nil
			}
			return usage(cmd, "%s needs [STACK] ID ID", cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runSnapshotDiff(cmd.Context(), g, args) },
	}
}

func runSnapshotDiff(ctx context.Context, g *globals, args []string) error {
	var choices [2]parts.Choice
	for i, text := range args[len(args)-2:] {
		c, err := choice([]string{text}, pointInTime{})
		if err != nil {
			return err
		}
		choices[i] = c
	}
	return g.with(ctx, func(a *app.App) error {
		if len(args) > 2 {
			stack, err := a.Stack(args[0])
			if err != nil {
				return err
			}
			choices[0].Stack, choices[1].Stack = stack, stack
		}
		r := &parts.Reader{Archives: a.Archives(), Sink: g.progress()}
		d, err := r.Diff(ctx, choices[0], choices[1])
		if err != nil {
			return err
		}
		g.progress().Close()
		if g.json {
			return g.printJSON(d)
		}
		page := g.page()
		printDifference(page, d)
		return page.Err()
	})
}

func printDifference(page *terminal.Page, d parts.Difference) {
	page.Printf("%s: from snapshot %.8s (%s) to %.8s (%s)\n", d.From.Stack, d.From.ID, clock(d.From.Taken), d.To.ID, clock(d.To.Taken))
	count := map[string]int{}
	for _, v := range d.Volumes {
		if v.Forms != "" {
			page.Printf("%s: not compared, since the snapshots have it as %s\n", v.Name, v.Forms)
			continue
		}
		page.Printf("%s:\n", v.Name)
		var rows []terminal.Row
		for _, c := range v.Changes {
			count[c.What]++
			rows = append(rows, terminal.Row{change(c), sizes(c), c.How})
		}
		page.Table("  ", rows...)
	}
	page.Printf("%d added, %d removed, %d changed\n", count[parts.Added], count[parts.Removed], count[parts.Changed])
}

func change(c parts.Change) terminal.Painted {
	style := terminal.Notice
	switch c.What {
	case parts.Added:
		style = terminal.Good
	case parts.Removed:
		style = terminal.Bad
	}
	name := c.Path
	if c.Type == "dir" {
		name += "/"
	}
	return terminal.Paint(style, c.What+" "+name)
}

// sizes are those before and after, and of a folder that is new or gone how much is in it.
func sizes(c parts.Change) string {
	switch {
	case c.What == parts.Changed && c.Before == c.After:
		return ""
	case c.What == parts.Changed:
		return terminal.Bytes(c.Before) + " to " + terminal.Bytes(c.After)
	case c.Type == "dir":
		return fmt.Sprintf("%s, %s", terminal.Count(c.Files, "file"), terminal.Bytes(c.Before+c.After))
	case c.Type == "file":
		return terminal.Bytes(c.Before + c.After)
	}
	return ""
}
