package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/terminal"
)

// worthALine is what a phase takes at least to be printed; as JSON the receipt
// has all of them.
const worthALine = 500 * time.Millisecond

// printReceipt writes what a run did: time per phase, what became of each
// stack and how old the data is that came back, and what a human must still do.
func printReceipt(w io.Writer, r *deploy.Receipt) error {
	tab := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	terminal.Printf(tab, "\nReceipt: %s of %s at %.7s\n\n", r.Kind, r.Fleet, r.Commit)
	for _, p := range phases(r) {
		terminal.Printf(tab, "  %s\t%s\tfrom %s on\n", p.Name, terminal.Duration(p.Ended.Sub(p.Began)), terminal.Duration(p.Began.Sub(r.Began)))
	}
	terminal.Printf(tab, "  total\t%s\n", terminal.Duration(r.Ended.Sub(r.Began)))
	printStacks(tab, r)
	found := r.Findings
	for _, h := range r.Hosts {
		found = slices.Concat(found, h.Findings)
	}
	for _, f := range found {
		terminal.Printf(tab, "\n  %s: %s\n  fix: %s\n", f.Severity, f, f.Fix)
	}
	for i, pending := range r.Pending {
		if i == 0 {
			terminal.Printf(tab, "\n  Still to do by hand:\n")
		}
		terminal.Printf(tab, "  - %s\n", pending)
	}
	return tab.Flush()
}

// printStacks writes a line for each stack; how old its data is only where some
// came back.
func printStacks(tab io.Writer, r *deploy.Receipt) {
	stacks := r.Stacks()
	if len(stacks) == 0 {
		return
	}
	restored := slices.ContainsFunc(slices.Collect(maps.Values(stacks)), func(s agentapi.StackReceipt) bool { return s.Restored != nil })
	terminal.Printf(tab, "\n  STACK\tOUTCOME\tHEALTHY AFTER")
	if restored {
		terminal.Printf(tab, "\tDATA BROUGHT BACK")
	}
	terminal.Printf(tab, "\n")
	for _, name := range slices.Sorted(maps.Keys(stacks)) {
		s := stacks[name]
		terminal.Printf(tab, "  %s\t%s\t%s", name, s.Outcome, healthyAfter(r, s))
		if restored {
			terminal.Printf(tab, "\t%s", brought(s, r.Began))
		}
		terminal.Printf(tab, "\n")
	}
}

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

func healthyAfter(r *deploy.Receipt, s agentapi.StackReceipt) string {
	if s.Healthy.IsZero() {
		return "-"
	}
	return terminal.Duration(s.Healthy.Sub(r.Began))
}

func brought(s agentapi.StackReceipt, began time.Time) string {
	if s.Restored == nil {
		return "-"
	}
	return fmt.Sprintf("%s old, %s in %d files", terminal.Duration(began.Sub(s.Restored.Began)), terminal.Bytes(s.Restored.Bytes), s.Restored.Files)
}
