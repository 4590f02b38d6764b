package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/parts"
	"salvor/internal/terminal"
)

type getOptions struct {
	at      pointInTime
	to      string
	special bool
}

func newSnapshotGet(g *globals) *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get [STACK] ID:/VOLUME/PATH",
		Short: "Bring a file or folder of a snapshot to this computer",
		Long: "Get reads the snapshot with your own credentials, also while the stack's host is lost; the stack is not touched. ID is\n" +
			"the beginning of an id, or latest; latest and --at need STACK. What it brings goes into -o DIR under its own name and is\n" +
			"yours there; nothing is overwritten. With -o - it is a tar stream, which keeps owners. A database that is dumped is in the\n" +
			"snapshot as its dump.",
		Args: refArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runSnapshotGet(cmd.Context(), g, args, o) },
	}
	cmd.Flags().VarP(&o.at, "at", "", atUsage+"; then ID is left out: STACK /VOLUME/PATH")
	cmd.Flags().StringVarP(&o.to, "out", "o", ".", "the `DIR` that it goes into, which is made where it is missing; - for a tar stream")
	cmd.Flags().BoolVar(&o.special, "special", false, "with -o -: with set-uid bits, devices, pipes and all attributes, which are left out otherwise")
	return cmd
}

// refArgs allows a place in a snapshot, behind its stack or alone.
func refArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 1 || len(args) == 2 {
		return nil
	}
	return usage(cmd, "%s needs [STACK] ID:/VOLUME/PATH", cmd.CommandPath())
}

// choice is what arguments and --at say, without the stack.
func choice(args []string, at pointInTime) (c parts.Choice, err error) {
	if c.Ref, err = parts.ParseRef(args[len(args)-1]); err != nil {
		return c, err
	}
	c.At = at.Time
	if c.ID != "" && !at.IsZero() {
		return c, fault.WithCode(fault.WithHint(errors.New("--at chooses the snapshot, and so does an id"), "with --at it is STACK /VOLUME/PATH"), fault.Usage)
	}
	if c.ID == "" && at.IsZero() {
		return c, fault.WithCode(fault.WithHint(errors.New("the snapshot is not named"), "write ID:/VOLUME/PATH, or --at TIME"), fault.Usage)
	}
	return c, nil
}

// reading opens the fleet, to read what [STACK] ID:/VOLUME/PATH or --at say with the
// credentials of this computer.
func reading(ctx context.Context, g *globals, args []string, at pointInTime, work func(*parts.Reader, parts.Choice) error) error {
	c, err := choice(args, at)
	if err != nil {
		return err
	}
	return g.with(ctx, func(a *app.App) error {
		if len(args) > 1 {
			if c.Stack, err = a.Archived(args[0]); err != nil {
				return err
			}
		}
		return work(&parts.Reader{Archives: a.Archives(), Sink: g.progress()}, c)
	})
}

func runSnapshotGet(ctx context.Context, g *globals, args []string, o getOptions) error {
	stream := o.to == "-"
	var err error
	switch {
	case stream && terminal.Is(g.Out):
		err = fault.WithHint(errors.New("a tar stream is not printed on a terminal"), "salvor snapshot get ID:/VOLUME/PATH -o - >FILE.tar")
	case stream && g.json:
		err = errors.New("-o - prints a tar stream and does not support --json")
	case !stream && o.special:
		err = fault.WithHint(errors.New("--special is for a tar stream: in a folder of yours there are no set-uid bits and no devices"), "add -o - >FILE.tar")
	}
	if err != nil {
		return fault.WithCode(err, fault.Usage)
	}
	return reading(ctx, g, args, o.at, func(r *parts.Reader, c parts.Choice) error {
		if stream {
			got, err := r.Stream(ctx, c, terminal.Under(g.Out), o.special)
			if err == nil {
				g.progress().Close()
				noteLeft(g, got, "--special adds devices and pipes")
			}
			return err
		}
		got, err := r.Get(ctx, c, o.to)
		if err != nil {
			return err
		}
		g.progress().Close()
		if g.json {
			return g.printJSON(got)
		}
		page := g.page()
		printGot(page, got)
		noteLeft(g, got, "a tar stream has them: -o - --special")
		return page.Err()
	})
}

func noteLeft(g *globals, got parts.Got, how string) {
	if got.Left > 0 {
		terminal.Printf(g.Err, "note: %s left out; %s\n", terminal.Count(got.Left, "device, socket or pipe"), how)
	}
}

func printGot(page *terminal.Page, got parts.Got) {
	page.Printf("%s: %s, %s, from snapshot %.8s of %s (%s)\n", got.To, terminal.Count(got.Files, "file"), terminal.Bytes(got.Bytes), got.ID, got.Stack, taken(got.Snapshot))
	if (parts.Volume{Form: got.Form}).Dump() {
		page.Printf("It is a database's dump, and not its files: salvor restore %s --snapshot %.8s loads it.\n", got.Stack, got.ID)
	}
}
