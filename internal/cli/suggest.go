package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/fault"
	nearest "salvor/internal/suggest"
)

// habits are words that other tools have for what salvor calls otherwise.
var habits = map[string]string{"ls": "status", "list": "status", "top": "ps", "inspect": "ps", "docs": "help", "deploy": "apply", "diff": "plan", "backup": "snapshot take"}

// otherNames are words that other tools have for a command below a group. They mean the
// same, so they are taken.
var otherNames = map[string][]string{"ls": {"list"}, "remove": {"rm", "delete"}, "rm": {"remove", "delete"}, "secret": {"secrets"}, "host": {"hosts"}, "snapshot": {"snapshots"}}

// harmless are the commands that change nothing, by their path.
var harmless = []string{"check", "plan", "status", "ps", "logs", "scan", "doctor", "version", "host ls", "claim ls", "secret ls", "secret audit", "snapshot ls", "route plan", "route explain"}

// nameOtherwise gives every command of a tree its other names, unless another one has
// them.
func nameOtherwise(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		for _, other := range otherNames[sub.Name()] {
			if !slices.ContainsFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == other }) {
				sub.Aliases = append(sub.Aliases, other)
			}
		}
		nameOtherwise(sub)
	}
}

// subcommand refuses a word that is not a command, with the command that was
// probably meant as the hint.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := cmd.CommandPath() + " --help"
	if meant := suggest(cmd, args[0]); meant != "" {
		hint = cmd.CommandPath() + " " + meant
	}
	return fault.WithCode(fault.WithHint(fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0]), hint), fault.Usage)
}

// suggest returns the command that a word probably means, "" for none: one that changes
// nothing, else one that is a single slip away from a word of four letters or more. So a
// hint turns neither "restart" into "restore", nor "docs" into "down", nor "ps" into
// "up".
func suggest(cmd *cobra.Command, word string) string {
	if meant, known := habits[word]; known && !cmd.HasParent() {
		return meant
	}
	var reading, changing []string
	for _, sub := range cmd.Commands() {
		switch path := strings.TrimPrefix(sub.CommandPath(), cmd.Root().Name()+" "); {
		case !sub.IsAvailableCommand():
		case slices.Contains(harmless, path):
			reading = append(reading, sub.Name())
		default:
			changing = append(changing, sub.Name())
		}
	}
	if near := nearest.Within(word, reading, min(len(word)/2, 2)); near != "" || len(word) < 4 {
		return near
	}
	return nearest.Within(word, changing, 1)
}
