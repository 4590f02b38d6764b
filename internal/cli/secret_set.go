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
	"salvor/internal/checkout"
	"salvor/internal/rotation"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

func newSecretSet(g *globals) *cobra.Command {
	var o generateOptions
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Set a secret from standard input; STACK/KEY sets a variable of a stack, FILE.yml/KEY a value in a YAML file",
		Example: "  salvor secret set notes/API_TOKEN\n" +
			"  salvor secret set notes/DB_PASSWORD --generate\n" +
			"  salvor secret set nas_key <~/.ssh/backup_ed25519",
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return runSecretSet(cmd.Context(), g, args[0], o) },
	}
	o.flags(cmd, "generate the value: random letters and digits; only for a new secret")
	return cmd
}

// runSecretSet looks at the working tree, where a stack's secrets may not be committed yet.
func runSecretSet(ctx context.Context, g *globals, name string, o generateOptions) error {
	bar := g.progress()
	defer bar.Close()
	options := g.options(bar)
	if strings.Contains(name, "/") {
		options.Files = checkout.WorkTree
	}
	a, err := app.Open(ctx, options)
	if err != nil {
		return err
	}
	defer g.close(ctx, a)
	if err := a.Secrets.MaySet(ctx, name, o.generate); err != nil {
		return err
	}
	value, err := newValue(g, name, o)
	if err != nil {
		return err
	}
	p, err := a.Secrets.PrepareSet(ctx, name, value)
	if err != nil {
		return err
	}
	if stack, _, is := a.Needs.Variable(name); is {
		if _, err := a.Stack(stack); err != nil {
			g.note(err) // it may be made later
		}
	}
	done, err := accepted(ctx, g, p)
	switch {
	case err != nil:
		return err
	case done.Staged:
		terminal.Printf(g.Err, "%s is set, to be committed with the stack\n", name)
	default:
		terminal.Printf(g.Err, "%s is set (committed); salvor apply delivers it\n", name)
	}
	return nil
}

// generateOptions are how a new value comes about.
type generateOptions struct {
	generate bool
	length   int
}

// generatedLength of letters and digits is 190 bits.
const generatedLength = 32

func (o *generateOptions) flags(cmd *cobra.Command, generate string) {
	cmd.Flags().BoolVar(&o.generate, "generate", false, generate)
	cmd.Flags().IntVar(&o.length, "length", generatedLength, "length of a generated value in `CHARACTERS`, at least 16")
}

// newValue generates a secret's new value, or reads it.
func newValue(g *globals, name string, o generateOptions) (secret.Value, error) {
	if o.generate {
		return rotation.Generate(o.length)
	}
	return g.readSecret(name)
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
