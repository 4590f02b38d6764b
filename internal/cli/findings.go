package cli

import (
	"context"
	"time"

	"salvor/internal/ack"
	"salvor/internal/app"
	"salvor/internal/check"
	"salvor/internal/finding"
	"salvor/internal/terminal"
)

// page is where a command lays out its result.
func (g *output) page() *terminal.Page { return terminal.NewPage(g.Out, !g.NoColor) }

// alreadyKnown are the findings that are shown no more.
func alreadyKnown(g *globals, a *app.App) ack.Known {
	known, err := a.Acks.Known()
	g.note(err)
	return known
}

// printNews prints the findings that are news, in brief, each with its fix below it, and how
// many are known. It returns the news.
func printNews(page *terminal.Page, known ack.Known, found []finding.Finding) []finding.Finding {
	news, old := known.News(found, time.Now())
	printFindings(page, check.Brief(news))
	printKnown(page, old)
	return news
}

// printKnown says how many findings are not shown since they are known.
func printKnown(page *terminal.Page, known int) {
	if known > 0 {
		page.Printf("%s: salvor check --all\n", terminal.Count(known, "known finding"))
	}
}

// printUncommitted prints what of the fleet is not committed in this clone, above what
// hosts say, and returns it.
func printUncommitted(ctx context.Context, g *globals, a *app.App) ([]finding.Finding, error) {
	found, err := a.Checkout.Uncommitted(ctx)
	if err != nil || len(found) == 0 || g.json {
		return found, err
	}
	g.progress().Close()
	page := g.page()
	printFindings(page, found)
	page.Printf("\n")
	return found, page.Err()
}

// printFindings writes findings, each with its fix below it.
func printFindings(page *terminal.Page, found []finding.Finding) {
	for _, f := range found {
		page.Printf("%s: %s\n", severity(f.Severity), f)
		if f.Fix != "" {
			page.Printf("  fix: %s\n", f.Fix)
		}
	}
}

// severity is the word for how bad a finding is, in its style.
func severity(s finding.Severity) terminal.Painted {
	switch s {
	case finding.Fatal:
		return terminal.Paint(terminal.Bad, string(s))
	case finding.Warning:
		return terminal.Paint(terminal.Notice, string(s))
	}
	return terminal.Paint(terminal.Plain, string(s))
}
