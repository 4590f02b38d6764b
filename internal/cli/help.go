package cli

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"salvor/internal/fault"
	"salvor/internal/finding"
	nearest "salvor/internal/suggest"
	"salvor/internal/terminal"
)

// helpWidth is how wide a help is: that of a small terminal.
const helpWidth = 80

// globalFlags stands in the help of a command for the flags that all commands have.
const globalFlags = `Flags of every command, such as --json, --quiet and --verbose: {{.Root.CommandPath}} --help`

// newHelp is the help command, which also explains findings.
func newHelp(g *globals) *cobra.Command {
	return prints("text", &cobra.Command{
		Use:               "help [TOPIC…]",
		Short:             "Explain a command, or a finding by the code in its brackets",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: topics,
		RunE:              func(cmd *cobra.Command, args []string) error { return explain(g, cmd.Root(), args) },
	})
}

// topics completes what help explains.
func topics(cmd *cobra.Command, typed []string, begun string) ([]string, cobra.ShellCompDirective) {
	var all []string
	about, _, err := cmd.Root().Find(typed)
	if err == nil {
		for _, sub := range about.Commands() {
			all = append(all, sub.Name())
		}
	}
	if len(typed) == 0 {
		all = append(all, finding.Codes()...)
	}
	all = slices.DeleteFunc(all, func(name string) bool { return !strings.HasPrefix(name, begun) })
	return all, cobra.ShellCompDirectiveNoFileComp
}

func explain(g *globals, root *cobra.Command, args []string) error {
	table := finding.Table()
	if i := slices.IndexFunc(table, func(row finding.Row) bool { return slices.Equal(args, []string{string(row.Code)}) }); i >= 0 {
		_, err := terminal.Printf(g.Out, "%s: %s\n\nfix: %s\n", table[i].Code, filled(table[i].Meaning), filled(table[i].Fix))
		return err
	}
	about, rest, err := root.Find(args)
	if err == nil && (len(rest) == 0 || !about.HasSubCommands()) {
		return about.Help()
	}
	if near := nearest.Nearest(rest[0], finding.Codes()); near != "" && suggest(about, rest[0]) == "" {
		return fault.WithCode(fault.WithHint(fmt.Errorf("%s has no command %q", about.CommandPath(), rest[0]), "salvor help "+near), fault.Usage)
	}
	return subcommand(about, rest)
}

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
