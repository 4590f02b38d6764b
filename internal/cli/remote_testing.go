package cli

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/checkout"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/remotes"
	"salvor/internal/storage"
	"salvor/internal/terminal"
)

type remoteTestOptions struct {
	hostKey string
}

func newRemoteTest(g *globals) *cobra.Command {
	var o remoteTestOptions
	cmd := &cobra.Command{
		Use:   "test NAME",
		Short: "Try a remote from here, and pin an SFTP server's key",
		Long: "Test writes, reads, lists and deletes a small object in each folder that the fleet uses on the remote. It shows " +
			"the key of an SFTP server that has none in fleet.yaml and, once you confirm it, writes it there (host_keys) and " +
			"commits it. If fleet.yaml has changes that are not committed, Test tries the remote as it is there and commits nothing.",
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return runRemoteTest(cmd.Context(), g, args[0], o) },
	}
	cmd.Flags().StringVar(&o.hostKey, "host-key", "", "the SFTP server's expected `FINGERPRINT` (SHA256:…), instead of a question")
	return cmd
}

func runRemoteTest(ctx context.Context, g *globals, name string, o remoteTestOptions) error {
	return withEdited(ctx, g, func(a *app.App) error {
		tests := remotes.New(a.Checkout, a.Record.Open)
		pinned, err := pinRemote(ctx, g, a, tests, name, o.hostKey)
		if err != nil {
			return err
		}
		tried, err := tests.Test(ctx, name, g.progress())
		if err != nil {
			return err
		}
		g.progress().Close()
		return errors.Join(printTried(g, name, pinned, tried), unusable(tried))
	})
}

// withEdited opens the fleet at the newest commit, or, where fleet.yaml has changes that
// are not committed, as the working tree has it.
func withEdited(ctx context.Context, g *globals, work func(*app.App) error) error {
	edited := false
	committed := func(a *app.App) (err error) {
		if edited, err = remotes.Edited(a.Checkout); err != nil || edited {
			return err
		}
		return work(a)
	}
	if err := g.with(ctx, committed); err != nil || !edited {
		return err
	}
	options := g.options(g.progress())
	options.Files = checkout.WorkTree
	a, err := openAs(ctx, g, options)
	if err != nil {
		return err
	}
	defer g.close(ctx, a)
	return work(a)
}

// pinRemote shows the keys of a remote's servers that have none in fleet.yaml, and writes
// those there that the operator trusts. It returns their fingerprints.
func pinRemote(ctx context.Context, g *globals, a *app.App, tests *remotes.Remotes, name, expected string) (pinned []string, err error) {
	declared, err := tests.Declared(name)
	if err != nil {
		return nil, err
	}
	for _, r := range declared {
		server, unpinned := remotes.Unpinned(r)
		if !unpinned {
			continue
		}
		key, err := g.trust(ctx, a, server, expected, "--host-key")
		if err != nil {
			return nil, err
		}
		if err := tests.Pin(ctx, r, key.Key); err != nil {
			return nil, err
		}
		pinned = append(pinned, key.Fingerprint)
		if a.Checkout.Files == checkout.Committed {
			terminal.Printf(g.Err, "%s: its key is pinned in %s, and committed\n", r.Name, fleet.File)
		} else {
			terminal.Printf(g.Err, "%s: its key is written to %s, which is not committed yet: git commit -am %s\n", r.Name, fleet.File, r.Name)
		}
	}
	return pinned, nil
}

// triedRow is a folder on a remote as remote test prints it.
type triedRow struct {
	Path       string           `json:"path"`
	OK         bool             `json:"ok"`
	Took       map[string]int64 `json:"took_ms"` // by step
	AppendOnly bool             `json:"append_only,omitempty"`
	Left       string           `json:"left,omitempty"`
	Up         int64            `json:"up_bytes_s,omitempty"`
	Down       int64            `json:"down_bytes_s,omitempty"`
	Free       *int64           `json:"free,omitempty"`
	Error      string           `json:"error,omitempty"`
	Hint       string           `json:"hint,omitempty"`
}

func printTried(g *globals, name string, pinned []string, tried []remotes.Tried) error {
	if !g.json {
		return printTriedText(g, name, tried)
	}
	rows := []triedRow{}
	for _, t := range tried {
		row := triedRow{Path: t.Path, OK: t.Err == nil, Took: map[string]int64{}, AppendOnly: t.Left != "", Left: t.Left, Up: t.Speed.Up, Down: t.Speed.Down, Free: t.Room.Free}
		for _, step := range t.Steps {
			row.Took[step.Step] = step.For.Milliseconds()
		}
		if t.Err != nil {
			row.Error, row.Hint = t.Err.Error(), fault.Hint(t.Err)
		}
		rows = append(rows, row)
	}
	return g.printJSON(struct {
		Schema  int        `json:"schema"`
		Remote  string     `json:"remote"`
		Pinned  []string   `json:"pinned,omitempty"`
		Folders []triedRow `json:"folders"`
	}{fleet.Schema, name, pinned, rows})
}

func printTriedText(g *globals, name string, tried []remotes.Tried) error {
	for _, t := range tried {
		where := cmp.Or(t.Path, "the top folder")
		if t.Err != nil {
			continue // the command's error says it
		}
		var steps []string
		for _, step := range t.Steps {
			steps = append(steps, step.Step+" "+step.For.Round(time.Millisecond).String())
		}
		if _, err := terminal.Printf(g.Out, "✔ %s: %s works: %s\n", name, where, strings.Join(steps, ", ")); err != nil {
			return err
		}
		if t.Speed.Up > 0 {
			terminal.Printf(g.Out, "  speed, with 4 MiB: up %s/s, down %s/s%s\n", terminal.Bytes(t.Speed.Up), terminal.Bytes(t.Speed.Down), roomLeft(t.Room))
		}
		if t.Left != "" {
			explainKept(g, name, t)
		}
	}
	return nil
}

// roomLeft says how much fits, where the remote does.
func roomLeft(room storage.Room) string {
	switch {
	case room.Free == nil:
		return ""
	case room.Total == nil:
		return "; free: " + bytesOr(room.Free)
	}
	return "; free: " + bytesOr(room.Free) + " of " + bytesOr(room.Total)
}

// explainKept says what it means that a remote does not delete.
func explainKept(g *globals, name string, t remotes.Tried) {
	if t.AppendOnly {
		terminal.Printf(g.Err, "  append-only, as declared: %s stays there\n", t.Left)
		return
	}
	terminal.Printf(g.Err, "! %s: nothing can be deleted there (append-only): %s stays\n"+
		"  hint: if that is intended, set append_only: true for the snapshot target; else let the remote's user delete\n", name, t.Left)
}

// unusable is the error of a remote of which a folder can't be used.
func unusable(tried []remotes.Tried) error {
	var all []error
	for _, t := range tried {
		if t.Err != nil {
			all = append(all, fault.WithCode(t.Err, fault.Unreachable))
		}
	}
	return errors.Join(all...)
}
