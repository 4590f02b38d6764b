package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
	"salvor/internal/terminal"
)

type rotateOptions struct {
	generate bool
	length   int
}

// generatedLength of letters and digits is 190 bits.
const generatedLength = 32

func newSecretRotate(g *globals) *cobra.Command {
	var o rotateOptions
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
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return runRotate(cmd.Context(), g, args[0], o) },
	}
	cmd.Flags().BoolVar(&o.generate, "generate", false, "generate the new value: random letters and digits (default: read it from standard input)")
	cmd.Flags().IntVar(&o.length, "length", generatedLength, "length of a generated value in `CHARACTERS`, at least 16")
	return cmd
}

func runRotate(ctx context.Context, g *globals, name string, o rotateOptions) error {
	var before secretstore.Changes // nil for what a program prints: its old value is not ours to bring back
	err := g.with(ctx, func(a *app.App) (err error) {
		if argv, printed := a.Command(name); printed {
			return g.rotatePrinted(ctx, a, name, argv, o)
		}
		if err := a.MayRotate(name); err != nil {
			return err
		}
		value, err := g.newValue(name, o)
		if err != nil {
			return err
		}
		if err := g.confirm(rotateQuestion(name, a.SecretUses(name))); err != nil {
			return err
		}
		before, err = a.RotateSecret(ctx, name, value)
		return err
	})
	if err != nil {
		return err
	}
	failed, err := g.deliverNow(ctx, name)
	switch {
	case !failed:
		return err
	case before == nil:
		return errors.Join(err, fault.WithHint(fault.WithCode(fmt.Errorf("%s keeps its new value: the old one can only be restored at its source", name), fault.Partial), "restore "+
			"it there, then salvor secret rotate "+name))
	}
	return g.undoRotation(ctx, name, before, err)
}

// rotatePrinted takes over the value that a program prints now.
func (g *globals) rotatePrinted(ctx context.Context, a *app.App, name string, argv []string, o rotateOptions) error {
	if o.generate {
		return fault.WithHint(fmt.Errorf("%s: its value comes from %s and can't be generated here", name, argv[0]), "change it there, then salvor secret rotate "+name+" without --generate")
	}
	if err := g.confirm(rotateQuestion(name, a.SecretUses(name))); err != nil {
		return err
	}
	return a.RaiseRevision(ctx, name)
}

// undoRotation puts the old value back wherever the new one came.
func (g *globals) undoRotation(ctx context.Context, name string, before secretstore.Changes, err error) error {
	undone := g.with(ctx, func(a *app.App) error { return a.UndoRotation(ctx, name, before) })
	if undone == nil {
		_, undone = g.deliverNow(ctx, name)
	}
	if undone != nil {
		return fault.WithHint(errors.Join(err, fmt.Errorf("the old value of %s could not be restored everywhere: %w", name, undone)), "salvor plan")
	}
	return errors.Join(err, fault.WithCode(fmt.Errorf("%s has its old value again", name), fault.Partial))
}

func (g *globals) newValue(name string, o rotateOptions) (secret.Value, error) {
	switch {
	case !o.generate:
		return g.readSecret(name)
	case o.length < 16 || o.length > 1024:
		return secret.Value{}, fault.WithCode(fault.WithHint(fmt.Errorf("--length %d: a generated secret has 16 to 1024 characters", o.length), "salvor secret rotate --help"), fault.Usage)
	}
	return generated(o.length)
}

// generated is text that survives every file format, URL and shell.
func generated(length int) (secret.Value, error) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	value := make([]byte, length)
	for i := range value {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			return secret.Value{}, err
		}
		value[i] = letters[n.Int64()]
	}
	return secret.New(value), nil
}

func rotateQuestion(name string, uses []app.SecretUse) string {
	if len(uses) == 0 {
		return fmt.Sprintf("Rotate %s? Nothing in the fleet uses it.", name)
	}
	lines := []string{fmt.Sprintf("Rotate %s? It is used by", name)}
	for _, u := range uses {
		line := "  " + u.String()
		if u.Host != "" {
			line += " on " + u.Host
		}
		if u.OnChange != "" {
			line += ": " + string(u.OnChange)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// deliverNow applies the newest commit on the hosts whose seals the secret is part
// of. It reports whether a stack failed.
func (g *globals) deliverNow(ctx context.Context, name string) (failed bool, err error) {
	bar := g.progress()
	defer bar.Close()
	a, err := g.open(ctx, bar)
	if err != nil {
		return false, err
	}
	defer g.close(ctx, a)
	s, err := a.Session(ctx)
	if err != nil {
		return false, err
	}
	hosts, stacks, err := sealedFor(ctx, s)
	if err != nil || len(hosts) == 0 {
		if err == nil {
			terminal.Printf(g.Err, "%s is committed; no placed stack uses it\n", name)
		}
		return false, err
	}
	err = g.working(ctx, a, func(s *deploy.Session) (deploy.Receipt, error) {
		receipt, err := s.Apply(ctx, s.OnHost(hosts...), s.Lock, deploy.Options{Kind: "rotate", Message: "secret rotate: " + name, Asked: stacks, Unplanned: true})
		failed = len(receipt.Failed()) > 0
		return receipt, err
	})
	return failed, err
}

// sealedFor returns the stacks whose seals are out of date and their hosts, sorted.
func sealedFor(ctx context.Context, s *deploy.Session) (hosts, stacks []string, err error) {
	stale, err := s.StaleSeals(ctx)
	if err != nil {
		return nil, nil, err
	}
	stacks = slices.Sorted(maps.Keys(stale))
	for _, stack := range stacks {
		hosts = append(hosts, s.Lock.Stacks[stack].Host)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts), stacks, nil
}
