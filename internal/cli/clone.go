package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"salvor/internal/card"
	"salvor/internal/fault"
	"salvor/internal/mirror"
	"salvor/internal/secret/agekey"
	"salvor/internal/terminal"
)

func newClone(g *globals) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "clone DIR",
		Short: "Clone the control repository with the recovery card",
		Long: "Clone reads the repository from the Git URL on the card. If that is gone, it uses the encrypted mirror " +
			"that apply\n" +
			"keeps on the fleet's remote.",
		Args: exactArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error { return runClone(cmd.Context(), g, file, args[0]) },
	}
	cmd.Flags().StringVar(&file, "card", "", "`FILE` with the card's text, as printed by salvor key card or scanned from it")
	return cmd
}

func runClone(ctx context.Context, g *globals, file, dir string) error {
	if file == "" {
		return fault.WithCode(fault.WithHint(fmt.Errorf("clone needs the recovery card: --card FILE"), "without a card, use git clone"), fault.Usage)
	}
	c, err := readCard(file)
	if err != nil {
		return err
	}
	if at, err := agekey.Look(file); err == nil && at.Exposed() {
		g.note(fmt.Errorf("other users can read %s (mode %04o), and the card's key opens everything: chmod 600 %s", file, at.Mode, file))
	}
	clone, err := mirror.CloneByCard(ctx, c, dir)
	if err != nil {
		return err
	}
	for _, n := range clone.Notes {
		terminal.Printf(g.Err, "note: %s\n", n)
	}
	terminal.Printf(g.Err, "The fleet %s is in %s, from %s.\n\nNext, if a host is lost: salvor -C %s --identity %s recover HOST --to NEW=root@ADDRESS\n", c.Fleet, dir, clone.From, dir, file)
	return nil
}

func readCard(file string) (c card.Card, err error) {
	in, err := os.Open(file)
	if err != nil {
		return c, err
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxCard))
	if err != nil {
		return c, err
	}
	if c, err = card.Parse(text); err != nil {
		err = fault.WithHint(fmt.Errorf("%s: %w", file, err), "compare the file with the printed page, or scan its codes again")
	}
	return c, err
}

// maxCard is more than any card, and less than a mistake.
const maxCard = 1 << 20
