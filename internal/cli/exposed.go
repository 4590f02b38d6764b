package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"salvor/internal/exposed"
	"salvor/internal/keys"
	"salvor/internal/terminal"
)

// exposure is the result of a command that leaves secrets exposed: someone may know what
// they must no longer know.
type exposure struct {
	Schema   int              `json:"schema"`
	Operator string           `json:"operator,omitempty"`
	Host     string           `json:"host,omitempty"`
	Stacks   []string         `json:"stacks,omitempty"` // with new repositories, or that the host had
	Secrets  []exposed.Secret `json:"secrets"`
}

// printExposed writes which secrets need another value, as the command's result.
func (g *globals) printExposed(e exposure) error {
	if g.json {
		e.Schema = 1
		if e.Secrets == nil {
			e.Secrets = []exposed.Secret{}
		}
		return g.printJSON(e)
	}
	if len(e.Secrets) == 0 {
		return nil
	}
	tab := tabwriter.NewWriter(g.Out, 0, 0, 3, ' ', 0)
	terminal.Printf(tab, "SECRET\tUSED BY\tCOMMAND\n")
	for _, s := range e.Secrets {
		command := s.Command
		if s.First != "" {
			command += "   (" + s.First + " first)"
		}
		terminal.Printf(tab, "%s\t%s\t%s\n", s.Name, users(s.UsedBy), command)
	}
	return tab.Flush()
}

// explainRemoval says why it is not enough that a removed key does not open anything new.
func (g *globals) explainRemoval(who string, r keys.Receipt) {
	terminal.Printf(g.Err, "\n%s may have copied anything they could read, so this commit also did the following:\n", who)
	if len(r.Stacks) > 0 {
		terminal.Printf(g.Err, "- %s from now on, with new passwords: %s. Changing a repository's password would not "+
			"help: the master key\n"+
			"  behind it never changes and may have been copied. Old repositories are kept for restores. Run salvor "+
			"apply to\n"+
			"  switch the hosts; the first snapshot in a new repository is a full one.\n",
			counted(len(r.Stacks), "stack has a new snapshot repository", "stacks have new snapshot repositories"), strings.Join(r.Stacks, ", "))
	}
	terminal.Printf(g.Err, "- There is a new recovery key, because the old one could be read. Older cards do not open "+
		"anything new; print the\n"+
		"  card again: salvor key card\n")
	g.explainExposed(r.Exposed, "- ")
}

// explainExposed introduces the list on standard output.
func (g *globals) explainExposed(exposed []exposed.Secret, mark string) {
	if len(exposed) == 0 {
		return
	}
	terminal.Printf(g.Err, "%s%s need a new value; salvor check lists them (secret-seen) until they have one. Change "+
		"values that a provider\n"+
		"  issues (remotes, registries, tokens) there first, then enter them here on standard input, without "+
		"--generate.\n"+
		"\n",
		mark, terminal.Count(len(exposed), "secret"))
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
