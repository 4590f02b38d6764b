package deploy

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/grant"
	"salvor/internal/terminal"
)

// Render writes the plan as a person reads it; tests compare this text.
func (p *Plan) Render(w io.Writer) error {
	out := &textWriter{w: w}
	out.linef("Plan for %s at %.7s", p.Fleet, p.Commit)
	out.grants(p.Grants)
	var right []string
	for _, h := range p.Hosts {
		switch {
		case h.Unreachable != "":
			out.linef("\n%s\n  unreachable: %s", h.Host, terminal.Text(h.Unreachable))
		case !h.New && len(h.Changes) == 0:
			right = append(right, h.Host)
		default:
			out.host(h)
		}
	}
	if len(right) > 0 {
		out.linef("\nAlready right: %s.", strings.Join(right, ", "))
	}
	for _, h := range p.Hosts {
		if h.Newer != "" {
			out.linef("\n%s runs a newer salvord (%s): left as it is.", h.Host, terminal.Line(h.Newer))
		}
	}
	if len(p.Left) > 0 {
		out.linef("\nLeft running as they are, for the reasons below: %s.", strings.Join(p.Left, ", "))
	}
	out.findings(p.Findings)
	return out.err
}

// grants writes what the commit lets others do, each line with the name by which it
// is confirmed.
func (t *textWriter) grants(all []grant.Grant) {
	if len(all) == 0 {
		return
	}
	t.linef("\nGrants, each to be confirmed by its name")
	for _, g := range all {
		t.linef("  ! %s\n      %s", g.Name, g.Text)
	}
}

// RenderRest writes the plan's grants and findings alone, each finding with its fix.
func (p *Plan) RenderRest(w io.Writer) error {
	out := &textWriter{w: w}
	out.grants(p.Grants)
	out.findings(p.Findings)
	return out.err
}

func (t *textWriter) findings(all []finding.Finding) {
	for _, f := range all {
		t.linef("\n%s: %s", f.Severity, f)
		if f.Fix != "" {
			t.linef("  fix: %s", f.Fix)
		}
	}
}

type textWriter struct {
	w   io.Writer
	err error
}

func (t *textWriter) linef(format string, args ...any) {
	if t.err == nil {
		_, t.err = terminal.Printf(t.w, format+"\n", args...)
	}
}

func (t *textWriter) host(h HostPlan) {
	t.linef("\n%s", h.Host)
	if h.New && !slices.ContainsFunc(h.Changes, isSalvord) {
		t.linef("  + prepare    salvord is not installed yet; other missing parts are listed after it is")
	}
	if t.err != nil {
		return
	}
	tab := tabwriter.NewWriter(t.w, 0, 0, 3, ' ', 0)
	stack := ""
	for _, c := range gathered(h.Changes) {
		if c.Stack != stack {
			stack = c.Stack
			terminal.Printf(tab, "  %s\n", stack)
		}
		writeChange(tab, c)
	}
	t.err = tab.Flush()
}

// gathered joins the folders that a host lacks into one change: a clean host
// lacks a dozen. The plan as JSON has each.
func gathered(all []agentapi.Change) []agentapi.Change {
	var kept []agentapi.Change
	first, more := -1, 0
	for _, c := range all {
		if c.Action != "+" || c.Destroys != "" || c.Kind() != agentapi.ChangeDirectory {
			kept = append(kept, c)
			continue
		}
		if first < 0 {
			first = len(kept)
			kept = append(kept, c)
			continue
		}
		more++
	}
	if more > 0 {
		kept[first].ID += fmt.Sprintf(" and %d more", more)
		kept[first].Cause = "are not there"
	}
	return kept
}

func writeChange(w io.Writer, c agentapi.Change) {
	indent := "  "
	if c.Stack != "" {
		indent = "    "
	}
	terminal.Printf(w, "%s%s %s\t%s\n", indent, c.Action, c.ID, c.Cause)
	if c.Destroys != "" {
		terminal.Printf(w, "%s  \tmay lose: %s\n", indent, c.Destroys)
	}
}
