package cli

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mattn/go-shellwords"
	"github.com/spf13/cobra"
)

// runnable returns the commands that do something, by their paths without "salvor".
func runnable(cmd *cobra.Command) map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	if cmd.Runnable() && !cmd.HasSubCommands() && !cmd.Hidden {
		all[strings.TrimPrefix(cmd.CommandPath(), "salvor ")] = cmd
	}
	for _, sub := range cmd.Commands() {
		maps.Copy(all, runnable(sub))
	}
	return all
}

// TestEveryCommandHasExamples that its own flags and arguments accept.
func TestEveryCommandHasExamples(t *testing.T) {
	all := runnable(newRoot(&globals{}))
	for path, cmd := range all {
		if cmd.Example == "" {
			t.Errorf("salvor %s has no example; add it to examples.go", path)
		}
		for line := range strings.Lines(cmd.Example) {
			checkExample(t, path, strings.TrimSpace(line))
		}
	}
	for path := range examples {
		if all[path] == nil {
			t.Errorf("there are examples of %q, which is not a command", path)
		}
	}
}

func checkExample(t *testing.T, path, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, " #")
	line = regexp.MustCompile(` [<>|].*`).ReplaceAllString(line, "") // what the shell does
	words, err := shellwords.Parse(line)
	if err != nil || len(words) == 0 || words[0] != "salvor" {
		t.Errorf("%s: %q is not a command line of salvor: %v", path, line, err)
		return
	}
	cmd, rest, err := newRoot(&globals{}).Find(words[1:])
	if err != nil || strings.TrimPrefix(cmd.CommandPath(), "salvor ") != path {
		t.Errorf("%q is an example of %s, not of %s: %v", line, cmd.CommandPath(), path, err)
		return
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("%q: %v", line, err)
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		t.Errorf("%q: %v", line, err)
	}
}

// TestThePageOfCommandsIsComplete: docs/commands.md names each of them.
func TestThePageOfCommandsIsComplete(t *testing.T) {
	page, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("`", "", "\\|", "|").Replace(string(page))
	for _, path := range slices.Sorted(maps.Keys(runnable(newRoot(&globals{})))) {
		// the second command of a line goes without "salvor"
		named := regexp.MustCompile(`(salvor |· |, )` + regexp.QuoteMeta(path) + `\b`)
		if !named.MatchString(text) {
			t.Errorf("docs/commands.md does not name salvor %s", path)
		}
	}
}

// TestHelpFitsATerminal of 80 columns, with flags in line.
func TestHelpFitsATerminal(t *testing.T) {
	for path, cmd := range runnable(newRoot(&globals{})) {
		if usage := cmd.UsageString(); !strings.Contains(usage, "such as --json") || strings.Contains(usage, "Global Flags") {
			t.Errorf("salvor %s --help lists the flags of every command:\n%s", path, usage)
		}
		for line := range strings.Lines(cmd.UsageString() + "\n" + cmd.Long) {
			if width := len([]rune(strings.TrimRight(line, "\n"))); width > 110 {
				t.Errorf("salvor %s --help: %d columns: %s", path, width, line)
			}
		}
	}
}
