package cli

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"salvor/internal/completion"
)

// named are the kinds of the word NAME in the usage lines of these commands.
var named = map[string]completion.Kind{
	"host remove": completion.Host, "host destroy": completion.Host, "host take": completion.Host, "remote test": completion.Remote, "remote renew": completion.Remote, "secret revoke": completion.Operator,
	"secret get": completion.Secret, "secret set": completion.Secret, "secret edit": completion.Secret,
	"secret rotate": completion.Secret, "secret audit": completion.Secret, "secret rm": completion.Secret,
}

// word takes the name of an argument out of a word of a usage line: "[SERVICE…]".
var word = regexp.MustCompile(`^\[?([A-Z]+)`)

// completes has the shell complete a command's arguments and flags by what its usage
// line calls them. What is not known here is left to the shell: files.
func completes(g *globals, cmd *cobra.Command) {
	if cmd.Runnable() && !cmd.HasSubCommands() && len(cmd.ValidArgs) == 0 && cmd.ValidArgsFunction == nil {
		kinds, repeats := arguments(cmd)
		cmd.ValidArgsFunction = func(_ *cobra.Command, typed []string, begun string) ([]string, cobra.ShellCompDirective) {
			switch n := len(typed); {
			case n < len(kinds):
				return namesOf(g, kinds[n], typed, begun)
			case repeats:
				return namesOf(g, kinds[len(kinds)-1], typed, begun)
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
	for _, flags := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) { completesFlag(g, cmd, f) })
	}
	for _, sub := range cmd.Commands() {
		completes(g, sub)
	}
}

func completesFlag(g *globals, cmd *cobra.Command, f *pflag.Flag) {
	value, _ := pflag.UnquoteUsage(f)
	kind := kindOf(cmd, value)
	if f.Name == "allow-remote" {
		kind = completion.Remote
	}
	complete := func(_ *cobra.Command, typed []string, begun string) ([]string, cobra.ShellCompDirective) {
		return namesOf(g, kind, typed, begun)
	}
	_ = cmd.RegisterFlagCompletionFunc(f.Name, complete) // fails only for a flag that is not there, or the second time
}

// arguments returns what a command's arguments are, in order, and whether the last one
// may be repeated.
func arguments(cmd *cobra.Command) (kinds []completion.Kind, repeats bool) {
	for _, w := range strings.Fields(cmd.Use)[1:] {
		if strings.HasPrefix(w, "-") {
			break // flags follow
		}
		if w == "[--]" || repeats {
			continue
		}
		kinds = append(kinds, kindOf(cmd, w))
		repeats = strings.Contains(w, "…")
	}
	return kinds, repeats
}

func kindOf(cmd *cobra.Command, usage string) completion.Kind {
	m := word.FindStringSubmatch(usage)
	switch {
	case m == nil:
		return ""
	case m[1] != "NAME":
		return completion.Kind(m[1])
	case strings.HasPrefix(usage, "NAME[="):
		return completion.Host // recover --to
	}
	if kind, known := named[strings.TrimPrefix(cmd.CommandPath(), "salvor ")]; known {
		return kind
	}
	return "NAME" // a new one
}

// namesOf returns the names of a kind in the working tree that begin so; for a kind that is not known the
// shell completes files.
func namesOf(g *globals, kind completion.Kind, typed []string, begun string) ([]string, cobra.ShellCompDirective) {
	switch kind {
	case "", "FILE", "KEY":
		return nil, cobra.ShellCompDirectiveDefault
	case "DIR":
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	tree, end := completion.Open(g.dir)
	defer end()
	names := slices.DeleteFunc(tree.Names(kind, typed), func(name string) bool { return !strings.HasPrefix(name, begun) })
	return names, cobra.ShellCompDirectiveNoFileComp
}
