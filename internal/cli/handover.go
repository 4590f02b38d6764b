package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"salvor/internal/app"
	"salvor/internal/terminal"
)

// handover is the result of a command after which somebody knows what they must
// not know any more.
type handover struct {
	Schema   int            `json:"schema"`
	Operator string         `json:"operator,omitempty"`
	Host     string         `json:"host,omitempty"`
	Stacks   []string       `json:"stacks,omitempty"` // with new repositories, or that the host had
	Secrets  []app.Rotation `json:"secrets"`
}

// printRotations writes which secrets need another value, as the command's result.
func (g *globals) printRotations(h handover) error {
	if g.json {
		h.Schema = 1
		if h.Secrets == nil {
			h.Secrets = []app.Rotation{}
		}
		return g.printJSON(h)
	}
	if len(h.Secrets) == 0 {
		return nil
	}
	tab := tabwriter.NewWriter(g.Out, 0, 0, 3, ' ', 0)
	terminal.Printf(tab, "SECRET\tUSED BY\tCOMMAND\n")
	for _, s := range h.Secrets {
		command := s.Command
		if s.Provider {
			command += "   (change it there first)"
		}
		terminal.Printf(tab, "%s\t%s\t%s\n", s.Secret, users(s.UsedBy), command)
	}
	return tab.Flush()
}

// explainRemoval says why it is not enough that somebody's key opens nothing new.
func (g *globals) explainRemoval(who string, h app.Handover) {
	terminal.Printf(g.Err, "\nWhat %s has seen stays seen, so in the same commit:\n", who)
	if len(h.Stacks) > 0 {
		terminal.Printf(g.Err, "- %s from now on, with new passwords: %s. A repository's password wraps a key\n  that never changes, which may have been copied. What is in the old ones stays, for restores. salvor apply brings\n  this to the hosts; the first snapshot in a new repository is a full one.\n",
			counted(len(h.Stacks), "stack has a new snapshot repository", "stacks have new snapshot repositories"), strings.Join(h.Stacks, ", "))
	}
	terminal.Printf(g.Err, "- There is a new recovery key, since the old one could be read. Cards made before open nothing new; print the\n  card again: salvor key card\n")
	g.explainRotations(h.Rotate, "- ")
}

// explainRotations introduces the list on standard output.
func (g *globals) explainRotations(rotate []app.Rotation, mark string) {
	if len(rotate) == 0 {
		return
	}
	terminal.Printf(g.Err, "%s%s need another value; salvor check names them (secret-seen) until they have one. What a provider gives out\n  (remotes, registries, tokens) is changed there first, then given here on standard input, without --generate.\n\n",
		mark, terminal.Count(len(rotate), "secret"))
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
