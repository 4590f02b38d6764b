package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/apply"
	"salvor/internal/fault"
	"salvor/internal/placement"
)

// scopeFlags has a command be about the stacks of its arguments or what is on a host.
func scopeFlags(cmd *cobra.Command, hosts *[]string) {
	cmd.Flags().StringSliceVar(hosts, "host", nil, "only what is on `HOST`, or comes there or leaves it")
}

// scope resolves the stacks and hosts that a command was given, which must be there.
func scope(a *app.App, stacks, hosts []string) (apply.Scope, error) {
	s := apply.Scope{Hosts: hosts}
	for _, name := range stacks {
		stack, err := a.Stack(name)
		if err != nil {
			return s, err
		}
		s.Stacks = append(s.Stacks, stack)
	}
	for _, name := range hosts {
		if _, err := placement.Host(a.Fleet(), name); err != nil {
			return s, fault.WithCode(err, fault.Usage)
		}
	}
	return s, nil
}

// inScope is a command with the scope that was given to it.
func inScope(command string, s apply.Scope) string {
	for _, name := range s.Hosts {
		command += " --host " + name
	}
	return strings.Join(append([]string{command}, s.Stacks...), " ")
}
