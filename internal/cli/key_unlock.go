package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/identity"
	"salvor/internal/keyagent"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/terminal"
)

// keyUnlock is the command as the operators' journal has it.
const keyUnlock = "key unlock"

type keyUnlockOptions struct {
	lasts    duration
	keychain bool
}

func newKeyUnlock(g *globals) *cobra.Command {
	o := keyUnlockOptions{lasts: duration{time.Hour, "1h"}}
	cmd := &cobra.Command{
		Use:   "unlock",
		Short: "Keep your key open for an hour, so that no command asks for its passphrase",
		Long: "Unlock asks for the passphrase and starts a small process that keeps the key in memory until the time is over,\n" +
			"until salvor key lock, or until you log out. Commands have it open one file after the other; it gives the key to\n" +
			"no one. Run unlock again to extend the time; after a day the passphrase is needed again.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runKeyUnlock(cmd.Context(), g, o) },
	}
	cmd.Flags().Var(&o.lasts, "for", "keep it open for this `TIME`, at most 24h")
	cmd.Flags().BoolVar(&o.keychain, "keychain", false, "also keep the passphrase in the system's keychain, so that you never type it while you are logged in")
	return cmd
}

func runKeyUnlock(ctx context.Context, g *globals, o keyUnlockOptions) error {
	if o.lasts.Duration > keyagent.Longest {
		return fault.WithCode(fault.WithHint(fmt.Errorf("--for %s: a key can be open for up to 24h", o.lasts.typed), "salvor key unlock --for 8h"), fault.Usage)
	}
	agents, err := keyagent.UsualFolder()
	if err != nil {
		return err
	}
	return g.with(ctx, func(a *app.App) error {
		f, err := a.Identity.File()
		if err != nil {
			return err
		}
		if !f.Protected() {
			terminal.Printf(g.Err, "%s has no passphrase, so it is always open\n", f.Path())
			return nil
		}
		if o.keychain {
			if f, err = intoKeychain(ctx, g, f.Path()); err != nil {
				return err
			}
		}
		held, err := unlocked(ctx, agents, f, a.Fleet().Recipients.Recovery, o.lasts.Duration)
		if err != nil {
			return err
		}
		return printUnlocked(g, held)
	})
}

// unlocked extends the time of a key that is open, or opens it.
func unlocked(ctx context.Context, agents keyagent.Folder, f *agekey.File, recovery string, lasts time.Duration) (keyagent.Held, error) {
	agent, held, err := agents.Find(ctx, f.Content())
	if err == nil {
		return agent.Extend(ctx, lasts)
	}
	if !errors.Is(err, keyagent.ErrNone) {
		return held, err
	}
	plain, err := f.Plain()
	if err != nil {
		return held, err
	}
	if err := mayBeHeld(f.Path(), plain, recovery); err != nil {
		return held, err
	}
	program, err := os.Executable()
	if err != nil {
		return held, err
	}
	key := keyagent.Key{Path: f.Path(), File: f.Content(), Identities: plain}
	if err := agents.Start(ctx, program, []string{"salvor", "key", "agent"}, key, lasts); err != nil {
		return held, err
	}
	_, held, err = agents.Find(ctx, f.Content())
	return held, err
}

// mayBeHeld returns why an agent does not hold these keys.
func mayBeHeld(path string, plain secret.Value, recovery string) error {
	ids, err := agekey.ParseIdentities(path, plain.Reveal(), nil)
	switch {
	case errors.Is(err, agekey.ErrPlugin):
		return fault.WithHint(fmt.Errorf("%s: its key is on a device, which asks on its own", path), "without a passphrase around it nothing has to be unlocked: "+
			"age -d "+path)
	case err != nil:
		return err
	case slices.Contains(identity.RecipientsOf(ids), recovery):
		return fault.WithHint(fmt.Errorf("%s is the recovery key, which is not kept open", path), "salvor key unlock, without --identity, opens yours")
	}
	return nil
}

func printUnlocked(g *globals, held keyagent.Held) error {
	if g.json {
		return g.printJSON(map[string]any{"schema": fleet.Schema, "path": held.Path, "until": held.Until})
	}
	terminal.Printf(g.Err, "%s is open until %s; salvor key lock closes it\n", held.Path, clock(held.Until))
	return nil
}

// clock is a time as a person reads it.
func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// agents is where this user's key agents are, "" where there can be none.
func agents() keyagent.Folder {
	folder, err := keyagent.UsualFolder()
	if err != nil {
		return ""
	}
	return folder
}
