package cli

import (
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// helpWidth is how wide a help is: that of a small terminal.
const helpWidth = 80

// globalFlags stands in the help of a command for the flags that all commands have.
const globalFlags = `Flags of every command, such as --json, --quiet and --verbose: {{.Root.CommandPath}} --help`

// present gives every command the help that people see: its examples, and texts and
// flags that fit a terminal.
func present(root *cobra.Command) {
	usage := strings.ReplaceAll(root.UsageTemplate(), "LocalFlags.FlagUsages |", "LocalFlags.FlagUsagesWrapped 80 |")
	usage = strings.Replace(usage, "Global Flags:\n{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}", globalFlags, 1)
	root.SetUsageTemplate(usage)
	presentAll(root)
}

func presentAll(cmd *cobra.Command) {
	if text := examples[strings.TrimPrefix(cmd.CommandPath(), "salvor ")]; text != "" {
		cmd.Example = "  " + strings.ReplaceAll(text, "\n", "\n  ")
	}
	cmd.Long = filled(cmd.Long)
	for _, sub := range cmd.Commands() {
		presentAll(sub)
	}
}

// filled breaks the lines of a text again, paragraph by paragraph. One that is indented
// stays as it is.
func filled(text string) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		if !strings.HasPrefix(p, " ") {
			paragraphs[i] = filledParagraph(p)
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

func filledParagraph(text string) string {
	var out strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		wide := utf8.RuneCountInString(word)
		switch {
		case column == 0:
		case column+1+wide > helpWidth:
			out.WriteByte('\n')
			column = 0
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += wide
	}
	return out.String()
}
