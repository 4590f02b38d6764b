package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/finding"
	"salvor/internal/parts"
	"salvor/internal/terminal"
)

func newSnapshotCheck(g *globals) *cobra.Command {
	var data bool
	cmd := &cobra.Command{
		Use:   "check [STACK…]",
		Short: "Check snapshot repositories: that everything a restore needs is there",
		Long: "Check reads every index, every snapshot and every folder in it with your own credentials, and compares the packs that\n" +
			"they need with those that are there; with --read-data it downloads all of them and compares each with its hash. Former\n" +
			"repositories are checked, too. It ends with 1 where something is lost or changed. Nothing is repaired.",
		RunE: func(cmd *cobra.Command, args []string) error { return runSnapshotCheck(cmd.Context(), g, args, data) },
	}
	cmd.Flags().BoolVar(&data, "read-data", false, "download and compare all data")
	return cmd
}

func runSnapshotCheck(ctx context.Context, g *globals, stacks []string, data bool) error {
	return g.with(ctx, func(a *app.App) error {
		for i := range stacks {
			var err error
			if stacks[i], err = a.Stack(stacks[i]); err != nil {
				return err
			}
		}
		r := &parts.Reader{Archives: a.Archives(), Sink: g.progress()}
		all, err := r.Check(ctx, data, stacks...)
		g.progress().Close()
		if g.json {
			return errors.Join(g.printJSON(all), err, flawed(all))
		}
		page := g.page()
		printChecked(page, all)
		return errors.Join(page.Err(), err, flawed(all))
	})
}

// flawed is the error about repositories in which something is wrong.
func flawed(all []parts.Checked) error {
	bad := 0
	for _, c := range all {
		for _, f := range c.Findings {
			if f.Severity == finding.Fatal {
				bad++
				break
			}
		}
	}
	switch bad {
	case 0:
		return nil
	case 1:
		return errors.New("a repository is damaged: see above")
	}
	return fmt.Errorf("%d repositories are damaged: see above", bad)
}

func printChecked(page *terminal.Page, all []parts.Checked) {
	if len(all) == 0 {
		page.Printf("No stack has a snapshot repository yet.\n")
	}
	for _, c := range all {
		switch {
		case c.Error != "":
			page.Printf("%s on %s, %s: not checked\n", c.Stack, c.Target, repositoryOf(c))
		case len(c.Findings) == 0:
			page.Printf("%s on %s, %s: good: %s%s\n", c.Stack, c.Target, repositoryOf(c), terminal.Count(c.Snapshots, "snapshot"), readOf(c))
		default:
			page.Printf("%s on %s, %s: %s%s\n", c.Stack, c.Target, repositoryOf(c), terminal.Count(c.Snapshots, "snapshot"), readOf(c))
			printFindings(page, c.Findings)
		}
	}
}

func repositoryOf(c parts.Checked) string {
	switch {
	case c.Apart:
		return "repository " + c.Repository + " from before a fresh start"
	case c.Former > 0:
		return "former repository " + c.Repository
	}
	return "repository " + c.Repository
}

func readOf(c parts.Checked) string {
	if c.Packs == 0 {
		return ""
	}
	return fmt.Sprintf(", %s read, %s", terminal.Count(c.Packs, "pack"), terminal.Bytes(c.Bytes))
}
