package cli

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/rotation"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

func newSecretRotate(g *globals) *cobra.Command {
	var o generateOptions
	cmd := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Give a secret a new value and deliver it at once",
		Long: "Rotate commits the new value, seals it for the hosts that need it and delivers it there. Running services " +
			"see it\n" +
			"under /run/secrets at once; x-salvor.on_rotate and x-salvor.on_change say what else happens. If a stack " +
			"fails, the\n" +
			"old value is committed and delivered again. A secret printed by a command (secrets: in fleet.yaml) takes " +
			"the\n" +
			"command's current output: change it at its source first.",
		Example: "  salvor secret rotate notes/DB_PASSWORD --generate\n" +
			"  salvor secret rotate notes/SMTP_PASSWORD",
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return runRotate(cmd.Context(), g, args[0], o) },
	}
	o.flags(cmd, "generate the new value: random letters and digits (default: read it from standard input)")
	return cmd
}

func runRotate(ctx context.Context, g *globals, name string, o generateOptions) error {
	return g.with(ctx, func(a *app.App) error {
		again := reopened{g: g}
		defer again.close(ctx)
		value := func() (secret.Value, error) {
			if err := a.Secrets.MaySet(ctx, name, false); err != nil {
				return secret.Value{}, err
			}
			return newValue(g, name, o)
		}
		reopen := func(ctx context.Context) (rotation.Reopened, error) {
			newest, err := again.app(ctx)
			if err != nil {
				return nil, err
			}
			return newest.ForRotation(), nil
		}
		p, err := rotation.Prepare(a.ForRotation(), rotation.Options{Name: name, Generate: o.generate, Value: value, Reopen: reopen})
		if err != nil {
			return nearSecret(a, name, err)
		}
		receipt, err := accepted(ctx, g, p)
		if printErr := g.printDeliveries(name, receipt); printErr != nil {
			return printErr
		}
		return err
	})
}

// printDeliveries prints what became of the new value, and of the old one where that was
// delivered again.
func (g *globals) printDeliveries(name string, r rotation.Receipt) error {
	for _, d := range r.Deliveries {
		if d.Kind == "" {
			terminal.Printf(g.Err, "%s is committed; no placed stack uses it\n", name)
		} else if err := g.printRun(&d.Receipt, d.Err); err != nil {
			return err
		}
	}
	return nil
}
