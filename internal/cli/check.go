package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/ack"
	"salvor/internal/app"
	"salvor/internal/check"
	"salvor/internal/checkout"
	"salvor/internal/deploy"
	"salvor/internal/finding"
	"salvor/internal/grant"
	"salvor/internal/leaks"
	"salvor/internal/terminal"
)

func newCheck(g *globals) *cobra.Command {
	var staged, all bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the working tree offline; report problems with file and line",
		Long:  "Check reads the files that a commit of everything would contain: all files of the working tree except those that .gitignore names.",
		Args:  exactArgs(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return runCheck(cmd.Context(), g, staged, all) },
	}
	cmd.Flags().BoolVar(&staged, "staged", false, "check only the files as staged for the next commit; the pre-commit hook does this")
	cmd.Flags().BoolVar(&all, "all", false, "show known findings, too: those that are acknowledged, and those that the last apply showed")
	return cmd
}

func runCheck(ctx context.Context, g *globals, staged, all bool) error {
	bar := g.progress()
	defer bar.Close()
	options := g.options(bar)
	if options.Files = checkout.WorkTree; staged {
		options.Files = checkout.Staged
	}
	a, err := openAs(ctx, g, options)
	if err != nil {
		return err
	}
	defer a.Close()
	inClear, err := leaks.Findings(ctx, a.Checkout)
	if err != nil {
		return err
	}
	found := append(slices.Clone(a.Findings()), inClear...)
	if !staged { // which is what the hook calls
		unguarded, err := check.Hook(ctx, a.Checkout.Git)
		if err != nil {
			return err
		}
		found = append(found, unguarded...)
	}
	finding.Sort(found)
	var grants []grant.Grant
	if !staged {
		if grants, err = a.Confirmed.Grants(ctx, a.Lock()); err != nil {
			return err
		}
	}
	return printCheck(g, a, found, grants, all)
}

func printCheck(g *globals, a *app.App, found []finding.Finding, grants []grant.Grant, all bool) error {
	if g.json {
		err := g.printJSON(struct {
			Schema   int               `json:"schema"`
			Grants   []grant.Grant     `json:"grants,omitempty"`
			Findings []finding.Finding `json:"findings"`
		}{1, grants, found})
		return errors.Join(err, deploy.Blocked(found))
	}
	page := g.page()
	known := alreadyKnown(g, a)
	if all {
		printAll(page, known, found)
	} else {
		found = printNews(page, known, found)
	}
	if err := errors.Join(page.Err(), deploy.Reported(found)); err != nil {
		return err
	}
	if names := grant.Names(grants); len(names) > 0 {
		page.Printf("To be confirmed at the next apply: %s (salvor plan explains each).\n", strings.Join(names, ", "))
	}
	page.Printf("%s: %s, %s, %s.\n", a.Fleet().Name, terminal.Count(len(a.Fleet().Hosts), "host"), terminal.Count(len(a.Fleet().Stacks), "stack"), problems(found))
	return page.Err()
}

// printAll prints all findings, those that the last apply showed of hosts, and what is
// acknowledged.
func printAll(page *terminal.Page, known ack.Known, found []finding.Finding) {
	printFindings(page, found)
	if len(known.Shown.Hosts) > 0 {
		page.Printf("\nOn hosts, at the last apply:\n")
		printFindings(page, known.Shown.Hosts)
	}
	if len(known.Acks) > 0 {
		page.Printf("\nAcknowledged:\n")
	}
	for _, each := range known.Acks {
		page.Printf("  %s\n", each)
	}
}

// problems says how much there is to do about findings that stop no commit.
func problems(found []finding.Finding) string {
	warnings := 0
	for _, f := range found {
		if f.Severity == finding.Warning {
			warnings++
		}
	}
	if warnings == 0 {
		return "no problems"
	}
	return terminal.Count(warnings, "warning")
}
