package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/audit"
	"salvor/internal/fault"
	"salvor/internal/terminal"
)

type auditOptions struct {
	days int
}

func newSecretAudit(g *globals) *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{
		Use:   "audit [NAME]",
		Short: "Show who opened a secret with salvor, and when hosts got it",
		Long: "Audit combines the operators' journal on the record remote with the journal of each host: every salvor " +
			"command that\n" +
			"decrypted a secret, and every delivery. Secrets that are opened with sops or age alone are not in any " +
			"journal.",
		Args: mostArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSecretAudit(cmd.Context(), g, strings.Join(args, ""), o)
		},
	}
	cmd.Flags().IntVar(&o.days, "days", 30, "how many `DAYS` to look back")
	return cmd
}

func runSecretAudit(ctx context.Context, g *globals, name string, o auditOptions) error {
	return g.with(ctx, func(a *app.App) error {
		report, err := a.Journals.Report(ctx, name, time.Now().AddDate(0, 0, -o.days))
		if err != nil {
			return err
		}
		if len(report.Events) == 0 && name != "" {
			if err := isSecret(a, name); err != nil {
				return err
			}
		}
		if err := g.printAudit(report); err != nil || len(report.Silent) == 0 {
			return err
		}
		return fault.WithCode(fmt.Errorf("deliveries to these hosts are missing, since they do not answer: %s", strings.Join(report.Silent, "; ")), fault.Partial)
	})
}

func (g *globals) printAudit(r audit.Report) error {
	if g.json {
		return g.printJSON(struct {
			Schema int `json:"schema"`
			audit.Report
		}{1, r})
	}
	tab := tabwriter.NewWriter(g.Out, 0, 0, 3, ' ', 0)
	terminal.Printf(tab, "WHEN\tWHO\tWHAT\tSECRETS\n")
	for _, e := range r.Events {
		terminal.Printf(tab, "%s\t%s\t%s\t%s\n", e.At.UTC().Format("2006-01-02 15:04:05"), e.Who, e.What, strings.Join(e.Secrets, ", "))
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	for _, f := range r.Findings {
		terminal.Printf(g.Err, "%s: %s\n  fix: %s\n", f.Severity, f, f.Fix)
	}
	if r.Shut > 0 {
		terminal.Printf(g.Err, "note: your key does not open %d entries of the operators' journal, from before you were an operator\n", r.Shut)
	}
	return nil
}
