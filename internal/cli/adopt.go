package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/adopt"
	"salvor/internal/app"
	"salvor/internal/cli/render"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/terminal"
)

type adoptOptions struct{ observe bool }

func newAdopt(g *globals) *cobra.Command {
	var o adoptOptions
	cmd := &cobra.Command{
		Use:   "adopt HOST [PROJECT…]",
		Short: "Make stacks of the Compose projects that run on a host already",
		Long: "Adopt reads the projects that run on a host and shows what of each would be lost if the host died today. Then\n" +
			"it makes stacks of them in the repository: their files as they are, the secrets of their env files\n" +
			"encrypted, and for each folder of the host that they mount what it is. It is one commit, after a question.\n" +
			"Nothing changes on the host: `salvor apply --adopt STACK` takes over what runs, without recreating\n" +
			"a container. Of a project that has no Compose file on the host any more, adopt drafts one from its containers:\n" +
			"to take that over, `salvor apply --adopt STACK` makes them again, after a question of its own.",
		Args: leastArgs("HOST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAdopt(cmd.Context(), g, args[0], args[1:], o)
		},
	}
	cmd.Flags().BoolVar(&o.observe, "observe", false, "only show what runs there and what would be lost; nothing is written")
	return cmd
}

func runAdopt(ctx context.Context, g *globals, host string, projects []string, o adoptOptions) error {
	return g.with(ctx, func(a *app.App) error {
		found, err := a.Adopt.Observe(ctx, host, projects...)
		if err != nil {
			return err
		}
		g.progress().Close()
		if !g.json {
			page := g.page()
			printObserved(page, found)
			if err := page.Err(); err != nil {
				return err
			}
		}
		if o.observe {
			return g.printAdopted(found, adopt.Receipt{})
		}
		return makeStacks(ctx, g, a, found)
	})
}

// makeStacks proposes to commit what was found as stacks, and prints what becomes of it: also
// what can't be one, where that ends the command.
func makeStacks(ctx context.Context, g *globals, a *app.App, found adopt.Observed) error {
	r, p, err := a.Adopt.Prepare(ctx, found)
	if len(r.Stacks) == 0 && (err == nil || g.json) {
		return errors.Join(err, g.printAdopted(found, r))
	}
	if !g.json {
		page := g.page()
		printAdoption(page, r)
		err = errors.Join(err, page.Err())
	}
	if err != nil {
		return err
	}
	if r, err = accepted(ctx, g, p); err != nil {
		return err
	}
	return g.printAdopted(found, r)
}

// printObserved shows what runs on a host, and of each project what only the host has.
func printObserved(page *terminal.Page, o adopt.Observed) {
	if len(o.Candidates) == 0 {
		page.Printf("No project runs on %s that is not one of its stacks.\n", o.Host)
	} else {
		page.Printf("%s on %s. If it died today, this would be lost:\n\n", terminal.Count(len(o.Candidates), "project"), o.Host)
	}
	for _, f := range o.Findings {
		page.Table("", terminal.Row{terminal.Paint(terminal.Bad, string(f.Code)), f.Text})
	}
	for _, c := range o.Candidates {
		printCandidate(page, c)
	}
	var others []string
	for _, c := range o.Containers {
		others = append(others, "container "+c.Name)
	}
	for _, v := range o.Volumes {
		others = append(others, fmt.Sprintf("volume %s (%s)", v.Name, atLeast(v.Bytes, v.More)))
	}
	for _, file := range o.Crontabs {
		others = append(others, "jobs in "+file)
	}
	for _, m := range o.Managers {
		others = append(others, m.Name+" in "+m.Folder)
	}
	if len(others) > 0 {
		page.Printf("\nOf no project, left as they are: %s\n", strings.Join(others, ", "))
	}
	for _, m := range o.Managers {
		if idle := o.Idle(m); len(idle) > 0 {
			page.Printf("%s has files of what does not run: %s\n", m.Name, strings.Join(idle, ", "))
		}
	}
	page.Printf("\n")
}

// printCandidate shows one project, and what only its host has.
func printCandidate(page *terminal.Page, c adopt.Candidate) {
	page.Printf("%s  %s\n", terminal.Paint(terminal.Strong, c.Project.Name), strings.Join(lostWith(c), ", "))
	for _, left := range c.Left {
		page.Table("  ", terminal.Row{"stays on the host:", left})
	}
	if c.Again != "" {
		page.Table("  ", terminal.Row{"in Git already:", c.Again + "; salvor adopt places it here again"})
	}
	for _, note := range c.Notes {
		page.Table("  ", terminal.Row{"note:", note})
	}
	if c.Project.Draft {
		page.Table("  ", terminal.Row{"why a draft:", c.Project.Incomplete})
	}
	for _, text := range c.Project.Unknown {
		page.Table("  ", terminal.Row{"not known:", text})
	}
	if c.Why != "" {
		page.Table("  ", terminal.Row{terminal.Paint(terminal.Notice, "can't be a stack"), c.Why})
		page.Table("  ", terminal.Row{"hint:", c.Hint})
	}
}

// lostWith says what of a project is on its host alone.
func lostWith(c adopt.Candidate) []string {
	s := c.Score
	said := []string{terminal.Count(len(c.Project.Services), "service")}
	if c.Project.Draft {
		said = []string{"draft: " + said[0] + ", reconstructed"}
	}
	if len(s.Places) > 0 {
		said = append(said, atLeast(s.Bytes, s.More)+" in "+terminal.Count(len(s.Places), "place"))
	} else {
		said = append(said, "no data")
	}
	if len(s.Databases) > 0 {
		said = append(said, terminal.Count(len(s.Databases), "database")+" ("+strings.Join(s.Databases, ", ")+")")
	}
	switch {
	case c.Project.Draft && s.Secrets > 0:
		said = append(said, "the variables of "+terminal.Count(s.Secrets, "service"))
	case s.Secrets > 0:
		said = append(said, terminal.Count(s.Secrets, "file")+" with secrets")
	}
	return said
}

func atLeast(n int64, more bool) string {
	if more {
		return "more than " + terminal.Bytes(n)
	}
	return terminal.Bytes(n)
}

// printAdoption shows what the commit will have.
func printAdoption(page *terminal.Page, r adopt.Receipt) {
	for _, s := range r.Stacks {
		page.Printf("%s  %s\n", terminal.Paint(terminal.Strong, s.Stack), strings.Join(s.Files, ", "))
		if len(s.Secret) > 0 {
			page.Table("  ", terminal.Row{"encrypted:", strings.Join(s.Secret, ", ")})
		}
		for _, left := range s.Left {
			page.Table("  ", terminal.Row{"stays on the host:", left})
		}
		for _, note := range s.Notes {
			page.Table("  ", terminal.Row{"note:", note})
		}
		for _, f := range s.Findings {
			page.Table("  ", terminal.Row{terminal.Paint(terminal.Notice, "to do first"), f.Subject + ": " + f.Text})
			page.Table("  ", terminal.Row{"hint:", f.Fix})
		}
	}
	for _, f := range r.Refused {
		page.Printf("%s\n", terminal.Paint(terminal.Strong, f.Project))
		page.Table("  ", terminal.Row{terminal.Paint(terminal.Notice, "can't be a stack"), f.Why})
		page.Table("  ", terminal.Row{"hint:", f.Hint})
	}
	for _, c := range r.Changes {
		render.Diff(page, c.Path, c.Before, c.After)
	}
	for _, s := range r.Stacks {
		printDifferences(page, s)
	}
}

// printDifferences shows where a host has something else than Git of a stack that is placed
// there again.
func printDifferences(page *terminal.Page, s adopt.Adopted) {
	if s.Made {
		page.Printf("%s: apply --take makes its containers again from Git's files; what was changed in its folder on the host is not taken\n", s.Stack)
	}
	for _, d := range s.Differs {
		page.Printf("%s: %s (+) differs from Git's (-): make them the same before salvor apply\n", s.Stack, terminal.Paint(terminal.Notice, d.File))
		if d.Git == nil && d.Host == nil {
			page.Printf("  not shown, it has a secret in plain text\n")
		}
		render.Diff(page, d.File, d.Git, d.Host)
	}
}

// printAdopted prints what was found and committed, and the next command.
func (g *globals) printAdopted(o adopt.Observed, r adopt.Receipt) error {
	if g.json {
		return g.printJSON(adoptedJSON(o, r))
	}
	if len(r.Stacks) == 0 {
		next := "salvor adopt " + o.Host
		if len(o.Candidates) == 0 {
			next = "salvor plan"
		}
		terminal.Printf(g.Err, "Nothing was written. Next: %s\n", next)
		return nil
	}
	var drafts []string
	ready := map[string][]string{} // by the consent that each needs
	for _, s := range r.Stacks {
		switch {
		case s.Draft:
			drafts = append(drafts, s.Stack)
		case len(s.Findings) > 0:
		case s.Made:
			ready[" --take "] = append(ready[" --take "], s.Stack)
		default:
			ready[" --adopt "] = append(ready[" --adopt "], s.Stack)
		}
	}
	terminal.Printf(g.Err, "%s committed; nothing changed on %s.\n", terminal.Count(len(r.Stacks), "stack"), o.Host)
	if len(ready) > 0 {
		next := "salvor apply"
		for _, consent := range slices.Sorted(maps.Keys(ready)) {
			next += consent + strings.Join(ready[consent], ",")
		}
		terminal.Printf(g.Err, "Next: %s\n", next)
	}
	for _, name := range drafts {
		terminal.Printf(g.Err, "%s is a draft: look through its Compose file, then salvor apply --adopt %s makes its containers again.\n", name, name)
	}
	return nil
}

type projectRow struct {
	Project   string   `json:"project"`
	Stack     string   `json:"stack"`
	Bytes     int64    `json:"bytes"`
	More      bool     `json:"more,omitempty"`
	Places    []string `json:"places,omitempty"`
	Databases []string `json:"databases,omitempty"`
	Secrets   int      `json:"secret_files,omitempty"`
	Draft     string   `json:"draft,omitempty"`  // why its Compose file was made of its containers
	Again     string   `json:"in_git,omitempty"` // the folder of the stack that is placed here again
	Why       string   `json:"why,omitempty"`
	Hint      string   `json:"hint,omitempty"`
}

// adoptedJSON is what --json prints: names and sizes, never what files say.
func adoptedJSON(o adopt.Observed, r adopt.Receipt) any {
	rows, stacks := []projectRow{}, []string{}
	for _, c := range o.Candidates {
		s := c.Score
		row := projectRow{
			Project: c.Project.Name, Stack: c.Stack, Bytes: s.Bytes, More: s.More, Places: s.Places, Databases: s.Databases,
			Secrets: s.Secrets, Again: c.Again, Why: c.Why, Hint: c.Hint,
		}
		for _, refused := range r.Refused {
			if refused.Project == row.Project {
				row.Why, row.Hint = refused.Why, refused.Hint
			}
		}
		if c.Project.Draft {
			row.Draft = c.Project.Incomplete
		}
		rows = append(rows, row)
	}
	found := slices.Clone(o.Findings)
	for _, s := range r.Stacks {
		stacks, found = append(stacks, s.Stack), append(found, s.Findings...)
	}
	return struct {
		Schema   int          `json:"schema"`
		Host     string       `json:"host"`
		Projects []projectRow `json:"projects"`
		Stacks   []string     `json:"committed"`

		Findings []finding.Finding `json:"findings,omitempty"`
	}{fleet.Schema, o.Host, rows, stacks, found}
}
