package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"salvor/internal/fault"
)

func newCompletion(g *globals) *cobra.Command {
	return prints("a shell script", &cobra.Command{
		Use:       "completion bash|zsh|fish",
		Short:     "Print the script by which a shell completes commands, flags and names",
		Long:      "Names of hosts, stacks, services, secrets and the like come from the files of your working tree. docs/install.md says where a shell looks for the script.",
		Args:      exactArgs("bash|zsh|fish"),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE:      func(cmd *cobra.Command, args []string) error { return printCompletion(g, cmd.Root(), args[0]) },
	})
}

func printCompletion(g *globals, root *cobra.Command, shell string) error {
	scripts := map[string]func(io.Writer) error{
		"bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh":  root.GenZshCompletion,
		"fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	}
	script, known := scripts[shell]
	if !known {
		return fault.WithCode(fault.WithHint(fmt.Errorf("%q is not a shell that salvor completes in", shell), "salvor completion bash, zsh or fish"), fault.Usage)
	}
	return script(g.Out)
}
