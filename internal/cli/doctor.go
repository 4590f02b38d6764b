package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/check"
	"salvor/internal/doctor"
	"salvor/internal/fleet"
	"salvor/internal/reach"
	"salvor/internal/remotes"
	"salvor/internal/terminal"
)

func newDoctor(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check this computer, this clone, your keys, and the way to hosts and remotes",
		Long: "Doctor asks what a day's work needs: Salvor in PATH, Git, ssh, the repository and its upstream, the pre-commit " +
			"hook, your key, the recovery card, every remote and every host. It changes nothing. Each line that is not ✔ ends in the " +
			"command that mends it. Doctor ends with exit code 1 if something does not work (✘), and with 0 if something is " +
			"only missing (!).",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), g) },
	}
}

func runDoctor(ctx context.Context, g *globals) error {
	all := doctor.Computer(ctx, g.dir)
	opened := false
	err := g.with(ctx, func(a *app.App) error {
		opened = true
		checks, err := checkFleet(ctx, a)
		all = append(all, checks...)
		all = append(all, checkClouds(ctx, a)...)
		return err
	})
	if err != nil && opened || ctx.Err() != nil {
		return err
	}
	if err != nil {
		all = append(all, doctor.Unopened(err))
	}
	if err := printChecks(g, all); err != nil {
		return err
	}
	if doctor.Worst(all) == doctor.Broken {
		return errors.New("not everything works; the lines with ✘ say what to do")
	}
	return nil
}

// checkFleet looks at an opened fleet.
func checkFleet(ctx context.Context, a *app.App) ([]doctor.Check, error) {
	unguarded, err := check.Hook(ctx, a.Checkout.Git)
	if err != nil {
		return nil, err
	}
	path, err := a.Identity.Path()
	if err != nil {
		return nil, err
	}
	tests := remotes.New(a.Checkout, a.Record.Open)
	return doctor.Fleet{
		Checkout: a.Checkout, Findings: append(slices.Clone(a.Findings()), unguarded...), Identity: path,
		HostKey: func(h fleet.Host) bool { return len(reach.Pinned(a.Reach.HostKeys(), h.Address, h.Port)) > 0 },
		Dial: func(ctx context.Context, h fleet.Host) error {
			_, err := a.Reach.Dial(ctx, h)
			return err
		},
		Remote: tests.Reach,
	}.Checks(ctx), nil
}

func printChecks(g *globals, all []doctor.Check) error {
	g.progress().Close()
	if g.json {
		return g.printJSON(struct {
			Schema int            `json:"schema"`
			State  doctor.State   `json:"state"`
			Checks []doctor.Check `json:"checks"`
		}{fleet.Schema, doctor.Worst(all), all})
	}
	wide := 0
	for _, c := range all {
		wide = max(wide, len(c.Name))
	}
	marks := map[doctor.State]string{doctor.Ready: "✔", doctor.Missing: "!", doctor.Broken: "✘"}
	for _, c := range all {
		if _, err := terminal.Printf(g.Out, "%s %s  %s\n", marks[c.State], fmt.Sprintf("%-*s", wide, c.Name), c.Text); err != nil {
			return err
		}
		if c.Fix != "" {
			terminal.Printf(g.Out, "  %s  fix: %s\n", fmt.Sprintf("%-*s", wide, ""), c.Fix)
		}
	}
	return nil
}
