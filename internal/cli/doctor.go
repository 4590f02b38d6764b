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
	"salvor/internal/machine"
	"salvor/internal/placement"
	"salvor/internal/reach"
	"salvor/internal/remotes"
	"salvor/internal/terminal"
)

func newDoctor(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor [HOST]",
		Short: "Check this computer, this clone, your keys, the remotes and the hosts",
		Long: "Doctor asks what a day's work needs: Salvor in PATH, Git, ssh, the repository and its upstream, the pre-commit " +
			"hook, your key, the recovery card, every remote and every host: its system, disk, memory, clock, Docker, restic, sshd and " +
			"salvord. Of hosts it says what is not ready; with HOST, all of that one alone. It changes nothing. Each line that is not ✔ ends in the " +
			"command that mends it. Doctor ends with exit code 1 if something does not work (✘), and with 0 if something is " +
			"only missing (!).",
		Args: mostArgs("HOST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return runDoctorHost(cmd.Context(), g, args[0])
			}
			return runDoctor(cmd.Context(), g)
		},
	}
}

// runDoctorHost looks at one host alone.
func runDoctorHost(ctx context.Context, g *globals, name string) error {
	return g.with(ctx, func(a *app.App) error {
		h, err := placement.Host(a.Fleet(), name)
		if err != nil {
			return err
		}
		f, err := ofFleet(ctx, a)
		if err != nil {
			return err
		}
		f.Only = name
		return diagnosis(g, f.Host(ctx, h))
	})
}

// diagnosis prints checks; one of something that does not work is an error.
func diagnosis(g *globals, all []doctor.Check) error {
	if err := printChecks(g, all); err != nil {
		return err
	}
	if doctor.Worst(all) == doctor.Broken {
		return errors.New("not everything works; the lines with ✘ say what to do")
	}
	return nil
}

func runDoctor(ctx context.Context, g *globals) error {
	all := doctor.Computer(ctx, g.dir)
	opened := false
	err := g.with(ctx, func(a *app.App) error {
		opened = true
		f, err := ofFleet(ctx, a)
		if err != nil {
			return err
		}
		all = append(all, f.Checks(ctx)...)
		all = append(all, checkClouds(ctx, a)...)
		return nil
	})
	if err != nil && opened || ctx.Err() != nil {
		return err
	}
	if err != nil {
		all = append(all, doctor.Unopened(err))
	}
	return diagnosis(g, all)
}

// ofFleet is what is checked of an opened fleet.
func ofFleet(ctx context.Context, a *app.App) (doctor.Fleet, error) {
	unguarded, err := check.Hook(ctx, a.Checkout.Git)
	if err != nil {
		return doctor.Fleet{}, err
	}
	path, err := a.Identity.Path()
	if err != nil {
		return doctor.Fleet{}, err
	}
	tests := remotes.New(a.Checkout, a.Record.Open)
	return doctor.Fleet{
		Checkout: a.Checkout, Findings: append(slices.Clone(a.Findings()), unguarded...), Identity: path,
		HostKey: func(h fleet.Host) bool { return len(reach.Pinned(a.Reach.HostKeys(), h.Address, h.Port)) > 0 },
		Dial: func(ctx context.Context, h fleet.Host) (machine.Machine, error) {
			link, err := a.Reach.Dial(ctx, h)
			if err != nil {
				return nil, err
			}
			return link.Machine, nil
		},
		Remote: tests.Reach,
	}, nil
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
