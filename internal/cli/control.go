package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"salvor/internal/agentapi"
	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/fault"
)

// oneService asks for a stack and one of its services. For a whole stack there is
// another command.
func oneService(instead string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return fault.WithCode(fault.WithHint(fmt.Errorf("%s needs STACK SERVICE", cmd.CommandPath()), "for the whole stack: salvor "+instead+" "+args[0]), fault.Usage)
		}
		return exactArgs("STACK", "SERVICE")(cmd, args)
	}
}

// control has a stack's host do something with what is deployed, and prints what runs
// afterwards.
func control(ctx context.Context, g *globals, action agentapi.ControlAction, args []string) error {
	return g.session(ctx, func(a *app.App, s *deploy.Session) error {
		stack, err := a.Stack(args[0])
		if err != nil {
			return err
		}
		c := agentapi.Control{Stack: stack, Action: action}
		if len(args) > 1 {
			c.Service = args[1]
		}
		p, err := s.Control(c)
		if err != nil {
			return err
		}
		done, err := accepted(ctx, g, p)
		if err != nil {
			return err
		}
		g.progress().Close()
		if g.json {
			return g.printJSON(done)
		}
		page := g.page()
		printRows(page, done.Services)
		if action == agentapi.ActionStop {
			page.Printf("%s stays stopped until: salvor start %s %s, a restart of the stack, or the next salvor apply\n", c.Service, args[0], c.Service)
		}
		return page.Err()
	})
}
