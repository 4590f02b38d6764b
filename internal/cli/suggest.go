package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/fault"
)

// habits are words that other tools have for what salvor calls otherwise.
var habits = map[string]string{"ls": "status", "list": "status", "top": "ps", "deploy": "apply", "diff": "plan", "backup": "snapshot take", "version": "--version"}

// harmless are the commands that change nothing, by their path.
var harmless = []string{"check", "plan", "status", "ps", "logs", "scan", "host ls", "secret ls", "secret audit", "snapshot ls"}

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

// suggest returns the command that a word probably means, "" for none. Only what
// changes nothing is suggested for a word that differs in two letters: a hint
// must not turn "restart" into "restore", nor "docs" into "down".
func suggest(cmd *cobra.Command, word string) string {
	if meant, known := habits[word]; known && !cmd.HasParent() {
		return meant
	}
	cmd.SuggestionsMinimumDistance = 1
	if near := slices.DeleteFunc(cmd.SuggestionsFor(word), func(name string) bool { return len(word) < 3 }); len(near) == 1 {
		return near[0]
	}
	cmd.SuggestionsMinimumDistance = 2
	for _, name := range cmd.SuggestionsFor(word) {
		path := strings.TrimPrefix(cmd.CommandPath()+" "+name, "salvor ")
		if len(word) > 2 && slices.Contains(harmless, path) {
			return name
		}
	}
	return ""
}
