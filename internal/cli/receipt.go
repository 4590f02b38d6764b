package cli

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/check"
	"salvor/internal/deploy"
	"salvor/internal/terminal"
)

// worthALine is what a phase takes at least to be printed; as JSON the receipt
// has all of them.
const worthALine = 500 * time.Millisecond

// printReceipt writes what a run did: time per phase, what became of each
// stack and how old the data is that came back, and what a human must still do.
func printReceipt(page *terminal.Page, r *deploy.Receipt) error {
	page.Printf("\nReceipt: %s of %s at %.7s\n\n", r.Kind, terminal.Paint(terminal.Strong, r.Fleet), r.Commit)
	var rows []terminal.Row
	for _, p := range phases(r) {
		rows = append(rows, terminal.Row{p.Name, terminal.Duration(p.Ended.Sub(p.Began)), "from " + terminal.Duration(p.Began.Sub(r.Began)) + " on"})
	}
	page.Table("  ", append(rows, terminal.Row{"total", terminal.Duration(r.Ended.Sub(r.Began))})...)
	printStacks(page, r)
	printHostnames(page, r)
	found := r.Findings
	for _, h := range r.Hosts {
		found = slices.Concat(found, h.Findings)
	}
	if len(found) > 0 {
		page.Printf("\n")
		printFindings(page, check.Brief(found))
	}
	for i, pending := range r.Pending {
		if i == 0 {
			page.Printf("\n  Still to do by hand:\n")
		}
		page.Printf("  - %s\n", pending)
	}
	return page.Err()
}

// printStacks writes a line for each stack; how old its data is only where some
// came back.
func printStacks(page *terminal.Page, r *deploy.Receipt) {
	stacks := r.Stacks()
	if len(stacks) == 0 {
		return
	}
	restored := slices.ContainsFunc(slices.Collect(maps.Values(stacks)), func(s agentapi.StackReceipt) bool { return s.Restored != nil })
	rows := []terminal.Row{{"STACK", "OUTCOME", "UP AFTER"}}
	if restored {
		rows[0] = append(rows[0], "DATA BROUGHT BACK")
	}
	for _, name := range slices.Sorted(maps.Keys(stacks)) {
		s := stacks[name]
		row := terminal.Row{name, terminal.Paint(styleOfOutcome(s), s.Outcome), upAfter(r, s)}
		if restored {
			row = append(row, brought(s, r.Began))
		}
		rows = append(rows, row)
	}
	page.Printf("\n")
	page.Table("  ", rows...)
}

// printHostnames writes which public hostnames are live.
func printHostnames(page *terminal.Page, r *deploy.Receipt) {
	for _, h := range r.Hosts {
		if h.Routes != nil && len(h.Routes.Live) > 0 {
			page.Printf("\n  live through %s: %s\n", h.Host, deploy.Some(h.Routes.Live))
		}
	}
}

func styleOfOutcome(s agentapi.StackReceipt) terminal.Style {
	switch {
	case s.Error != nil:
		return terminal.Bad
	case s.Outcome == untouched:
		return terminal.Plain
	}
	return terminal.Good
}

// untouched is the outcome of a stack of which nothing was started.
const untouched = "untouched"

// phases joins the operator's phases with those of the hosts, by start.
func phases(r *deploy.Receipt) []agentapi.Phase {
	all := slices.Clone(r.Phases)
	for _, h := range r.Hosts {
		for _, p := range h.Phases {
			if p.Stack == "" {
				p.Name = h.Host + ": " + p.Name
				all = append(all, p)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b agentapi.Phase) int { return a.Began.Compare(b.Began) })
	return slices.DeleteFunc(all, func(p agentapi.Phase) bool { return p.Ended.Sub(p.Began) < worthALine })
}

func upAfter(r *deploy.Receipt, s agentapi.StackReceipt) string {
	if s.Healthy.IsZero() || s.Outcome == untouched {
		return "-" // nothing was started
	}
	return terminal.Duration(s.Healthy.Sub(r.Began))
}

func brought(s agentapi.StackReceipt, began time.Time) string {
	if s.Restored == nil {
		return "-"
	}
	return fmt.Sprintf("%s old, %s in %d files", terminal.Duration(began.Sub(s.Restored.Began)), terminal.Bytes(s.Restored.Bytes), s.Restored.Files)
}
