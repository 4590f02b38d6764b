package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"salvor/internal/app"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
	"salvor/internal/terminal"
)

func newSecret(g *globals) *cobra.Command {
	return newGroup("secret", "Secrets: encrypted in Git, plain only in memory on the host that needs them",
		newSecretSet(g), newSecretGet(g), newSecretEdit(g), newSecretImport(g), newSecretRotate(g), newSecretGrant(g), newSecretRevoke(g), newSecretLs(g), newSecretAudit(g))
}

func newSecretSet(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "set NAME",
		Short: "Set a secret from standard input; STACK/KEY sets a variable of a stack, FILE.yml/KEY a value in a YAML file",
		Args:  exactArgs("NAME"),
		RunE:  func(cmd *cobra.Command, args []string) error { return runSecretSet(cmd.Context(), g, args[0]) },
	}
}

// maxSecret is more than any key or certificate chain, and less than a mistake.
const maxSecret = 1 << 20

var errTooLong = errors.New("a secret is at most 1 MiB")

func runSecretSet(ctx context.Context, g *globals, name string) error {
	value, err := g.readSecret(name)
	if err != nil {
		return err
	}
	return g.with(ctx, func(a *app.App) error {
		if err := a.SetSecret(ctx, name, value); err != nil {
			return err
		}
		terminal.Printf(g.Err, "%s is set (committed); salvor apply delivers it\n", name)
		return nil
	})
}

// readSecret reads the value without echo from a terminal, else all of standard
// input, less one line end.
func (g *globals) readSecret(name string) (secret.Value, error) {
	if term.IsTerminal(int(g.In.Fd())) {
		value, err := g.hidden(fmt.Sprintf("Value of %s: ", name), g.In)
		if errors.Is(err, io.EOF) {
			err = errNotConfirmed
		}
		return value, err
	}
	content, err := g.typed("", func() (string, error) {
		content, err := io.ReadAll(io.LimitReader(g.In, maxSecret+1))
		return string(content), err
	})
	switch {
	case err != nil:
		return secret.Value{}, err
	case len(content) > maxSecret:
		return secret.Value{}, errTooLong
	}
	return secret.New([]byte(strings.TrimSuffix(content, "\n"))), nil
}

func newSecretGet(g *globals) *cobra.Command {
	return prints("the secret's value as it is", &cobra.Command{
		Use:   "get NAME",
		Short: "Print a secret's value, as it is, on standard output",
		Args:  exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				value, err := a.Identity.Secret(cmd.Context(), args[0])
				if err == nil {
					_, err = terminal.Raw(g.Out).Write(value.Reveal())
				}
				return err
			})
		},
	})
}

func newSecretGrant(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "grant NAME RECIPIENT",
		Short: "Add an operator: their age key opens everything from now on",
		Args:  exactArgs("NAME", "RECIPIENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := g.confirm(fmt.Sprintf("Let %s open every secret of the fleet, including the recovery key?", args[0])); err != nil {
				return err
			}
			return g.with(cmd.Context(), func(a *app.App) error {
				if err := a.Grant(cmd.Context(), args[0], args[1]); err != nil {
					return err
				}
				terminal.Printf(g.Err, "%s is now an operator (committed). The next salvor apply re-encrypts the hosts' "+
					"files; running services are not affected.\n", args[0])
				return nil
			})
		},
	}
}

func newSecretLs(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List secrets, when they were set, who can open them and what uses them; never their values",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error { return printSecrets(cmd.Context(), g, a) })
		},
	}
}

func printSecrets(ctx context.Context, g *globals, a *app.App) error {
	all, err := a.Identity.Secrets()
	if err != nil {
		return err
	}
	due, err := a.Due(ctx)
	if err != nil {
		return err
	}
	if g.json {
		return g.printSecretsJSON(a, all, due)
	}
	tab := tabwriter.NewWriter(g.Out, 0, 0, 3, ' ', 0)
	terminal.Printf(tab, "SECRET\tSET\tDUE\tRECIPIENTS\tFILE\tUSED BY\n")
	now := time.Now()
	for _, s := range all {
		terminal.Printf(tab, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, whenSet(s, due[s.Name]), whenDue(due[s.Name], now), openers(s), keptIn(s), users(a.SecretUses(s.Name)))
	}
	return tab.Flush()
}

func (g *globals) printSecretsJSON(a *app.App, all []secretstore.Info, due map[string]app.Due) error {
	type row struct {
		Name       string          `json:"name"`
		File       string          `json:"file,omitempty"`
		Command    []string        `json:"command,omitempty"`
		Revision   int             `json:"revision,omitempty"`
		Set        time.Time       `json:"set,omitzero"`
		Due        time.Time       `json:"due,omitzero"`
		Recipients []string        `json:"recipients,omitempty"`
		OtherKeys  []string        `json:"other_keys,omitempty"`
		Fits       bool            `json:"fits"`
		UsedBy     []app.SecretUse `json:"used_by,omitempty"`
	}
	rows := []row{}
	for _, s := range all {
		rows = append(rows, row{s.Name, s.File, s.Command, s.Revision, setAt(s, due[s.Name]), due[s.Name].At, s.Recipients, s.OtherKeys, s.Fits, a.SecretUses(s.Name)})
	}
	return g.printJSON(struct {
		Schema  int   `json:"schema"`
		Secrets []row `json:"secrets"`
	}{1, rows})
}

func users(uses []app.SecretUse) string {
	if len(uses) == 0 {
		return "-"
	}
	names := make([]string, len(uses))
	for i, u := range uses {
		names[i] = u.String()
	}
	return strings.Join(names, ", ")
}

// whenSet is when a secret was set, as far as that is known: a file of SOPS says
// it, and what has a period was looked up in Git.
func whenSet(s secretstore.Info, d app.Due) string {
	at := setAt(s, d)
	if at.IsZero() {
		return "-"
	}
	return at.Format("2006-01-02 15:04")
}

func setAt(s secretstore.Info, d app.Due) time.Time {
	if !d.Since.IsZero() {
		return d.Since.UTC()
	}
	return s.Encrypted.UTC()
}

// whenDue is the day on which a secret is to be rotated.
func whenDue(d app.Due, now time.Time) string {
	switch {
	case d.At.IsZero():
		return "-"
	case d.At.Before(now):
		return d.At.Format(time.DateOnly) + " (late)"
	}
	return d.At.Format(time.DateOnly)
}

// keptIn is the file that holds a secret, or the program that prints it.
func keptIn(s secretstore.Info) string {
	if s.Command != nil {
		return path.Base(s.Command[0]) + " (command)"
	}
	return s.File
}

// openers says who can open a secret: how many age keys, and what else.
func openers(s secretstore.Info) string {
	who := append([]string{}, s.OtherKeys...)
	if len(s.Recipients) > 0 {
		who = append([]string{strconv.Itoa(len(s.Recipients))}, who...)
	}
	if len(who) == 0 {
		return "-"
	}
	text := strings.Join(who, ", ")
	if !s.Fits {
		text += " (not those of fleet.yaml)"
	}
	return text
}
