package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/ack"
	"salvor/internal/app"
	"salvor/internal/finding"
	"salvor/internal/terminal"
)

type ackOptions struct {
	within duration
	why    string
	remove bool
}

func newAck(g *globals) *cobra.Command {
	var o ackOptions
	cmd := &cobra.Command{
		Use:   "ack CODE SUBJECT",
		Short: "Acknowledge a finding, so that check, plan and apply no longer show it",
		Long: "Ack commits that the operators know a finding: its code, which is in brackets at its end, and its subject, " +
			"which is at its beginning.\nWhat is fatal can't be acknowledged. salvor check --all shows what is, and salvor ack " +
			"--remove takes it back.",
		Example: "  salvor ack key-unproven recovery.age --for 30d --why \"the printer is broken\"\n  salvor ack --remove key-unproven recovery.age",
		Args:    exactArgs("CODE", "SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAck(cmd.Context(), g, finding.Code(args[0]), args[1], o)
		},
	}
	cmd.Flags().Var(&o.within, "for", "acknowledge it for this `TIME` only, such as 30d or 12h (default: until it is removed)")
	cmd.Flags().StringVar(&o.why, "why", "", "the reason, as `TEXT`; it is shown by check --all")
	cmd.Flags().BoolVar(&o.remove, "remove", false, "take the acknowledgement back")
	return cmd
}

func runAck(ctx context.Context, g *globals, code finding.Code, subject string, o ackOptions) error {
	now := time.Now()
	a := ack.Ack{Code: code, Subject: subject, Why: o.why}
	if o.within.Duration > 0 {
		a.Until = now.Add(o.within.Duration).UTC().Truncate(time.Second)
	}
	return g.with(ctx, func(opened *app.App) error {
		if o.remove {
			if err := opened.Acks.Remove(ctx, code, subject); err != nil {
				return err
			}
			terminal.Printf(g.Err, "%s %s is shown again (committed)\n", code, subject)
			return nil
		}
		there, err := opened.Acks.Add(ctx, a, opened.Findings(), now)
		if err != nil {
			return err
		}
		within := ""
		if !a.Until.IsZero() {
			within = " until " + a.Until.Format(time.DateOnly)
		}
		terminal.Printf(g.Err, "%s %s is acknowledged%s (committed); salvor check --all shows it\n", code, subject, within)
		if !there {
			terminal.Printf(g.Err, "note: there is no such finding now; the subject is what a finding begins with\n")
		}
		return nil
	})
}
