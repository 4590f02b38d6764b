package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/mattn/go-shellwords"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"salvor/internal/app"
	"salvor/internal/atomicfile"
	"salvor/internal/fault"
	"salvor/internal/machine/local"
	"salvor/internal/memdir"
	"salvor/internal/proposal"
	"salvor/internal/secret"
	"salvor/internal/secretchange"
	"salvor/internal/terminal"
)

func newSecretEdit(g *globals) *cobra.Command {
	return prints("nothing", &cobra.Command{
		Use:   "edit NAME",
		Short: "Edit a secret in $VISUAL or $EDITOR; STACK/KEY is a variable of a stack, STACK.env all of them",
		Long: "Edit opens the value in $VISUAL, $EDITOR, vi or nano. While you edit, it is in a file in memory, never on " +
			"a disk;\n" +
			"the file is removed afterwards. Your editor's settings decide what the editor keeps (copies, undo files, a " +
			"history).\n" +
			"If you change nothing, nothing is committed.",
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return runSecretEdit(cmd.Context(), g, args[0]) },
	})
}

func runSecretEdit(ctx context.Context, g *globals, name string) (err error) {
	editor, err := editorArgv()
	if err != nil {
		return err
	}
	// A terminal that is closed must not leave the file behind.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	return g.with(ctx, func(a *app.App) error {
		e, err := a.Secrets.BeginEdit(ctx, name)
		if err != nil {
			return nearSecret(a, name, err)
		}
		p, changed, err := g.throughEditor(ctx, a, e, editor)
		if err != nil {
			return err
		}
		if !changed {
			terminal.Printf(g.Err, "%s was not changed\n", name)
			return nil
		}
		if _, err := accepted(ctx, g, p); err != nil {
			return err
		}
		terminal.Printf(g.Err, "%s is changed (committed); salvor apply delivers it\n", name)
		return nil
	})
}

// editorArgv is the operator's editor and its own arguments.
func editorArgv() ([]string, error) {
	for _, variable := range []string{"VISUAL", "EDITOR"} {
		command := os.Getenv(variable)
		if strings.TrimSpace(command) == "" {
			continue
		}
		argv, err := shellwords.Parse(command)
		if err != nil || len(argv) == 0 {
			return nil, fault.WithHint(fmt.Errorf("$%s is not a command", variable), "export "+variable+"=vi")
		}
		return argv, nil
	}
	if found := local.Find("vi", "nano"); found != "" {
		return []string{found}, nil
	}
	return nil, fault.WithHint(errors.New("no editor: neither $VISUAL nor $EDITOR is set, and vi and nano are not installed"), "salvor secret set NAME reads a value from standard input")
}

// throughEditor has the operator edit a text until it can be encrypted or they
// give up. The folder with the plaintext is gone when it returns.
func (g *globals) throughEditor(ctx context.Context, a *app.App, e secretchange.Edit, editor []string) (p proposal.Proposal[secretchange.Changed], changed bool, err error) {
	dir, err := memdir.New(memdir.Usual()...)
	if err != nil {
		return p, false, fault.WithHint(err, "salvor secret set NAME reads a value from standard input")
	}
	defer func() { err = errors.Join(err, memdir.Remove(dir)) }()
	file := filepath.Join(dir, e.File)
	if err := atomicfile.Write(file, strings.NewReader(string(e.Text.Reveal())), 0o600); err != nil {
		return p, false, err
	}
	for {
		if err := g.runEditor(ctx, append(editor[:len(editor):len(editor)], file)); err != nil {
			return p, false, fmt.Errorf("the editor failed, nothing was changed: %w", err)
		}
		text, err := readEdited(file)
		if err == nil {
			p, changed, err = a.Secrets.PrepareEdit(ctx, e, text)
		}
		if err == nil || ctx.Err() != nil || !g.editAgain(err) {
			return p, changed, err
		}
	}
}

// runEditor runs the editor on the terminal, which is as before afterwards, also
// when the editor was killed.
func (g *globals) runEditor(ctx context.Context, argv []string) error {
	if fd := int(g.In.Fd()); term.IsTerminal(fd) {
		before, err := term.GetState(fd)
		if err != nil {
			return err
		}
		defer term.Restore(fd, before) //nolint:errcheck // the terminal is gone then
	}
	return local.Foreground(ctx, argv, g.In, terminal.Under(g.Out), terminal.Under(g.Err))
}

func readEdited(file string) (secret.Value, error) {
	f, err := os.Open(file)
	if err != nil {
		return secret.Value{}, err
	}
	defer f.Close() // only read from
	content, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(content) > maxSecret {
		err = errTooLong
	}
	return secret.New(content), err
}

// editAgain asks whether to go back to the text. Without a terminal, and at the end
// of the input or Ctrl-C, the answer is no.
func (g *globals) editAgain(problem error) bool {
	if g.Term == nil {
		return false
	}
	answer, err := g.ask(fmt.Sprintf("%v\nEdit it again? Otherwise the text is lost and nothing is changed. [Y/n] ", problem))
	answer = strings.ToLower(answer)
	return err == nil && (answer == "" || answer == "y" || answer == "yes")
}
