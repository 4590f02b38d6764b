package cli

import (
	"salvor/internal/finding"
	"salvor/internal/terminal"
)

// page is where a command lays out its result.
func (g *output) page() *terminal.Page { return terminal.NewPage(g.Out, !g.NoColor) }

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
