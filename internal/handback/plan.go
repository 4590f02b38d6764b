package handback

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/stack"
	"salvor/internal/terminal"
)

// plan says for people what becomes of each stack, and which secrets will lie in plain text.
func (w *work) plan() string {
	var text strings.Builder
	page := terminal.NewPage(&text, false)
	for _, p := range w.plain {
		page.Printf("%s  %s\n", p.Name, becomes(p))
		for _, file := range p.Secrets {
			page.Printf("  secrets in plain text: %s\n", file)
		}
		for _, file := range p.Replaces {
			page.Printf("  %s is written again; yours is kept as %s\n", file, path.Base(stack.Before(file)))
		}
		for _, folder := range p.Data {
			page.Printf("  its data stays in %s\n", folder)
		}
	}
	for _, name := range w.ending {
		page.Printf("%s  %s\n", name, becomes(agentapi.PlainStack{Gone: true}))
	}
	if !w.NoSnapshot && slices.ContainsFunc(w.plain, func(p agentapi.PlainStack) bool { return !p.Gone }) {
		page.Printf("Before that, a last snapshot is taken of each; all snapshots stay on the remotes.\n")
	}
	switch {
	case w.removed:
		page.Printf("%s left the fleet already. Now the commit that says so is pushed.\n", w.Host)
	case w.gone:
		page.Printf("Salvor was removed from %s already. Now %s leaves the fleet.\n", w.Host, w.Host)
	case w.whole():
		page.Printf("Salvor is removed from %s: salvord, its folders and keys, and restic if Salvor installed it.\n"+
			"Docker, its settings and all data stay. Last, %s leaves the fleet.\n", w.Host, w.Host)
	}
	page.Printf("\n")
	return text.String()
}

// becomes says what becomes of a stack on its host.
func becomes(p agentapi.PlainStack) string {
	runs := "runs on"
	if p.Stopped {
		runs = "stays stopped"
	}
	switch {
	case p.Gone:
		return "was given back already; Git and the record learn it now"
	case len(p.Recreates) == 0:
		return fmt.Sprintf("%s in %s, no container is touched", runs, p.Folder)
	}
	return fmt.Sprintf("%s in %s, its containers are made again once: %s", runs, p.Folder, strings.Join(p.Recreates, ", "))
}

func (w *work) question() string {
	files := 0
	for _, p := range w.plain {
		files += len(p.Secrets)
	}
	what := w.Host
	switch {
	case w.removed:
		return fmt.Sprintf("This pushes that %s left the fleet.", w.Host)
	case w.gone:
		return fmt.Sprintf("This takes %s out of the fleet.", w.Host)
	case w.whole() && len(w.plain) == 0:
		return fmt.Sprintf("This removes Salvor from %s, and %s from the fleet.", w.Host, w.Host)
	case !w.whole():
		what = strings.Join(w.Stacks, ", ") + " of " + w.Host
	}
	text := fmt.Sprintf("This gives back %s: everything runs on without Salvor", what)
	if files > 0 {
		text += fmt.Sprintf(", with its secrets in plain text in %s", terminal.Count(files, "file"))
	}
	return text + "."
}
