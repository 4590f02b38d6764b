package handback

import (
	"fmt"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/terminal"
)

// plan says for people what becomes of each stack, and which secrets will lie in plain text.
func (w *work) plan() string {
	var text strings.Builder
	page := terminal.NewPage(&text, false)
	for _, p := range w.plain {
		page.Printf("%s\n", stackLine(p))
		for _, file := range p.Secrets {
			page.Printf("  secrets in plain text: %s\n", file)
		}
		for _, file := range p.Replaces {
			page.Printf("  written again, the present one is kept next to it: %s\n", file)
		}
		for _, folder := range p.Data {
			page.Printf("  its data stays in %s\n", folder)
		}
	}
	for _, name := range w.ending {
		page.Printf("%s  was given back already; that is recorded now\n", name)
	}
	if !w.NoSnapshot && len(w.plain) > 0 {
		page.Printf("Before that, a last snapshot is taken of each; all snapshots stay on the remotes.\n")
	}
	if w.whole() {
		page.Printf("Then salvord and its folders are removed from %s, and %s from the fleet. Docker and all data stay.\n", w.Host, w.Host)
	}
	page.Printf("\n")
	return text.String()
}

func stackLine(p agentapi.PlainStack) string {
	switch {
	case p.Gone:
		return p.Name + "  is not Salvor's on the host any more"
	case len(p.Recreates) == 0:
		return fmt.Sprintf("%s  runs on in %s, no container is touched", p.Name, p.Folder)
	}
	return fmt.Sprintf("%s  gets the folder %s, and its containers are made again: %s", p.Name, p.Folder, strings.Join(p.Recreates, ", "))
}

func (w *work) question() string {
	what := "some of its stacks run"
	if w.whole() {
		what = "its stacks run"
	}
	files := 0
	for _, p := range w.plain {
		files += len(p.Secrets)
	}
	text := fmt.Sprintf("This gives %s back: %s on without Salvor", w.Host, what)
	if files > 0 {
		text += fmt.Sprintf(", with their secrets in plain text in %s", terminal.Count(files, "file"))
	}
	return text + "."
}
