package deploy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/project"
	"salvor/internal/terminal"
)

// Render lays the plan out as a person reads it, a line for each change, with the sum of
// them at its end; tests compare this text. Findings are not part of it.
func (p *Plan) Render(page *terminal.Page) {
	if p.Empty() && len(p.Unreachable()) == 0 {
		p.renderEmpty(page)
		return
	}
	page.Printf("Plan for %s at %.7s\n", terminal.Paint(terminal.Strong, p.Fleet), p.Commit)
	renderGrants(page, p.Grants)
	var right []string
	for _, h := range p.Hosts {
		switch {
		case h.Unreachable != "":
			renderUnreachable(page, h)
		case !h.New && len(h.Changes) == 0:
			right = append(right, h.Host)
		default:
			renderHost(page, h)
			renderPlaybooks(page, p.Playbooks)
		}
	}
	if len(right) > 0 {
		page.Printf("\nAlready right: %s.\n", strings.Join(right, ", "))
	}
	p.renderNewer(page)
	p.renderLeft(page)
	page.Printf("\n%s\n", p.Sum())
	p.renderOthers(page)
}

// renderEmpty says that there is nothing to do.
func (p *Plan) renderEmpty(page *terminal.Page) {
	renderGrants(page, p.Grants)
	what := "everything is"
	if len(p.About) == 1 {
		what = p.About[0] + " is"
	} else if len(p.About) > 1 {
		what = strings.Join(p.About, ", ") + " are"
	}
	page.Printf("%s at %.7s: %s as declared.\n", p.Fleet, p.Commit, what)
	p.renderNewer(page)
	p.renderLeft(page)
	p.renderOthers(page)
}

// renderOthers says what is left by a plan that is not about everything.
func (p *Plan) renderOthers(page *terminal.Page) {
	if p.Others > 0 {
		page.Printf("%s left: salvor apply\n", map[bool]string{true: "1 other change is", false: fmt.Sprintf("%d other changes are", p.Others)}[p.Others == 1])
	}
	if len(p.NotAsked) > 0 {
		page.Printf("%s\n", terminal.Paint(terminal.Faint, "Not asked: "+strings.Join(p.NotAsked, ", ")+"."))
	}
}

// renderNewer names the hosts that another operator has updated.
func (p *Plan) renderNewer(page *terminal.Page) {
	for _, h := range p.Hosts {
		if h.Newer != "" {
			page.Printf("\n%s runs a newer salvord (%s): left as it is.\n", h.Host, h.Newer)
		}
	}
}

func (p *Plan) renderLeft(page *terminal.Page) {
	if len(p.Left) > 0 {
		page.Printf("\nLeft running as they are, for the reasons above: %s.\n", strings.Join(p.Left, ", "))
	}
}

// renderGrants writes what the commit lets others do, each line with the name by which
// it is confirmed.
func renderGrants(page *terminal.Page, all []grant.Grant) {
	if len(all) == 0 {
		return
	}
	page.Printf("\nGrants, each to be confirmed by its name\n")
	for _, g := range all {
		page.Printf("  %s\n      %s\n", terminal.Paint(terminal.Notice, "! "+g.Name), g.Text)
	}
}

func renderUnreachable(page *terminal.Page, h HostPlan) {
	page.Printf("\n%s\n  %s: %s\n", terminal.Paint(terminal.Strong, h.Host), terminal.Paint(terminal.Bad, "unreachable"), terminal.Text(h.Unreachable))
	page.Printf("  %s\n", cmp.Or(h.Hint, "if it is lost permanently: salvor recover "+h.Host+" --to HOST"))
}

func renderHost(page *terminal.Page, h HostPlan) {
	page.Printf("\n%s\n", terminal.Paint(terminal.Strong, h.Host))
	var rows []terminal.Row
	stack := ""
	for _, c := range h.lines() {
		indent := ""
		if c.Stack != "" {
			indent = "  "
		}
		if c.Stack != stack {
			stack = c.Stack
			rows = append(rows, terminal.Row{terminal.Paint(terminal.Strong, stack)})
		}
		rows = append(rows, terminal.Row{terminal.Paint(styleOf(c.Action), indent+c.Action+" "+title(c)), c.Cause})
		if c.Destroys != "" {
			rows = append(rows, terminal.Row{"", terminal.Paint(terminal.Bad, "may lose: "+c.Destroys)})
		}
		if c.Opens != "" {
			rows = append(rows, terminal.Row{"", terminal.Paint(terminal.Bad, "loses its protection: everyone will reach "+c.Opens)})
		}
	}
	page.Table("  ", rows...)
}

// renderPlaybooks says what runs around a host's part of the plan.
func renderPlaybooks(page *terminal.Page, around *fleet.Playbooks) {
	if around == nil {
		return
	}
	var parts []string
	if around.Before != "" {
		parts = append(parts, around.Before+" before this")
	}
	if around.After != "" {
		parts = append(parts, around.After+" after it")
	}
	page.Printf("  Ansible runs %s.\n", strings.Join(parts, ", "))
}

func styleOf(action string) terminal.Style {
	switch action {
	case "+":
		return terminal.Good
	case "-":
		return terminal.Bad
	}
	return terminal.Notice
}

// title is what a change is about, for people: a volume by its source, as in the
// Compose file.
func title(c agentapi.Change) string {
	kind, name, _ := strings.Cut(c.ID, " ")
	switch agentapi.ChangeKind(kind) {
	case agentapi.ChangeVolume:
		return kind + " " + project.AsWritten(name)
	case agentapi.ChangePackages:
		return kind // what is not installed says which list it is
	}
	return c.ID
}

// lines are a host's changes as they are printed, one for each.
func (hp HostPlan) lines() []agentapi.Change {
	all := gathered(hp.Changes)
	if hp.New && !slices.ContainsFunc(hp.Changes, isSalvord) {
		salvord := agentapi.Change{ID: salvordID, Action: "+", Cause: "installed in this version, then what else the host lacks, such as Docker"}
		all = slices.Insert(all, 0, salvord)
	}
	return all
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

// Sum is the plan in one line: how much it adds, changes and removes, and the data that
// it may lose.
func (p *Plan) Sum() string {
	count := map[string]int{}
	for _, h := range p.Hosts {
		for _, c := range h.lines() {
			count[c.Action]++
		}
	}
	var parts []string
	for _, kind := range []struct{ action, what string }{{"+", "to add"}, {"~", "to change"}, {"-", "to remove"}} {
		if n := count[kind.action]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, kind.what))
		}
	}
	if len(parts) == 0 {
		return "Nothing to do."
	}
	if open := p.Opens(); len(open) > 0 {
		parts = append(parts, "everyone will reach "+strings.Join(open, ", "))
	}
	if lost := p.Destroys(); len(lost) > 0 {
		return strings.Join(parts, ", ") + "; this may lose data: " + strings.Join(lost, ", ") + "."
	}
	return strings.Join(parts, ", ") + ", nothing is lost."
}
