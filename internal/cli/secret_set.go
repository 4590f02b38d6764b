package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"salvor/internal/app"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

func newSecretSet(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "set NAME",
		Short: "Set a secret from standard input; STACK/KEY sets a variable of a stack, FILE.yml/KEY a value in a YAML file",
		Args:  exactArgs("NAME"),
		RunE:  func(cmd *cobra.Command, args []string) error { return runSecretSet(cmd.Context(), g, args[0]) },
	}
}

func runSecretSet(ctx context.Context, g *globals, name string) error {
	value, err := g.readSecret(name)
	if err != nil {
		return err
	}
	return g.with(ctx, func(a *app.App) error {
		p, err := a.Secrets.PrepareSet(ctx, name, value)
		if err != nil {
			return err
		}
		if _, err := accepted(ctx, g, p); err != nil {
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
		return g.hidden(fmt.Sprintf("Value of %s: ", name), g.In)
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

// maxSecret is more than any key or certificate chain, and less than a mistake.
const maxSecret = 1 << 20

var errTooLong = errors.New("a secret is at most 1 MiB")
