package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-shellwords"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"salvor/internal/fault"
	"salvor/internal/machine/local"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/command"
	"salvor/internal/terminal"
)

// noPassphraseFlag lets a command that makes a key make one without a passphrase.
func (g *prompts) noPassphraseFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&g.noPassphrase, "no-passphrase", false, "leave the key unencrypted: anyone who can read its file can open everything")
}

// tries is how often a person may type a passphrase.
const tries = 3

var errNoTerminal = errors.New("no terminal to ask for the passphrase")

// unlock returns the passphrase to try on the operator's identity file. A person has
// three tries; a file or a program has one.
func unlock(g *globals, path string, wrong int) (secret.Value, error) {
	prompt := fmt.Sprintf("Passphrase of %s (once an hour: salvor key unlock): ", path)
	switch {
	case wrong > 0 && !g.typesPassphrase(), wrong >= tries:
		return secret.Value{}, agekey.ErrNoOther
	case g.Term == nil && g.typesPassphrase():
		return secret.Value{}, fault.WithCode(fault.WithHint(errNoTerminal, "salvor key unlock at a terminal, or --passphrase-file FILE"), fault.SecretsShut)
	case wrong > 0:
		prompt = fmt.Sprintf("That is not it. Passphrase of %s (try %d of %d): ", path, wrong+1, tries)
	case g.command == keyUnlock:
		prompt = fmt.Sprintf("Passphrase of %s: ", path)
	}
	return g.passphrase(prompt)
}

// unlockSSH returns the passphrase to try on an SSH key: first the identity's where that
// is given, since people use one for both, then those that a person types.
func unlockSSH(g *globals, file string, wrong int) (secret.Value, error) {
	given := 0
	if !g.typesPassphrase() {
		given = 1
	}
	try := wrong - given + 1
	switch {
	case try < 1:
		return g.passphrase("")
	case try > tries, wrong > 0 && g.Term == nil:
		return secret.Value{}, fmt.Errorf("%s: wrong passphrase", file)
	}
	g.progress() // the one that the copy shows its questions next to
	person := g.prompts
	person.passphraseFile, person.passphraseCommand = "", ""
	if wrong == 0 {
		return person.passphrase(fmt.Sprintf("Passphrase of %s: ", file))
	}
	return person.passphrase(fmt.Sprintf("That is not it. Passphrase of %s (try %d of %d): ", file, try, tries))
}

// typesPassphrase reports whether a person types passphrases.
func (g *prompts) typesPassphrase() bool { return g.passphraseFile == "" && g.passphraseCommand == "" }

// passphrase returns a passphrase: the content of --passphrase-file, what
// --passphrase-command prints, or what is typed without echo.
func (g *prompts) passphrase(prompt string) (secret.Value, error) {
	switch {
	case g.passphraseFile != "":
		content, err := os.ReadFile(g.passphraseFile)
		return secret.NewString(strings.TrimRight(string(content), "\r\n")), err
	case g.passphraseCommand != "":
		return g.printedPassphrase()
	case g.Term == nil:
		return secret.Value{}, fault.WithCode(fault.WithHint(errNoTerminal, "--passphrase-file FILE"), fault.SecretsShut)
	}
	value, err := g.hidden(prompt, g.Term)
	if errors.Is(err, errNothingTyped) {
		err = fault.WithCode(errors.New("nothing was typed, and the passphrase is needed"), fault.SecretsShut)
	}
	return value, err
}

// passphraseTime is what --passphrase-command may take: a person may have to unlock a
// password manager meanwhile.
const passphraseTime = 2 * time.Minute

// printedPassphrase runs --passphrase-command, which has the terminal to itself.
func (g *prompts) printedPassphrase() (value secret.Value, err error) {
	const flag = "--passphrase-command"
	parser := shellwords.NewParser()
	argv, err := parser.Parse(g.passphraseCommand)
	if err != nil || len(argv) == 0 || parser.Position >= 0 {
		return value, fault.WithCode(fault.WithHint(errors.New(flag+": not the words of one command: no shell reads it, so pipes and the like need a script"),
			flag+" 'pass show salvor'"), fault.Usage)
	}
	ctx, cancel := g.untilInterrupted()
	defer cancel()
	g.progress().Suspend(func() {
		value, err = command.Program{Argv: argv, Timeout: passphraseTime}.Print(ctx, local.Machine{Inherit: true, Terminal: g.Term}, g.programPrompts(), "")
	})
	if errors.Is(err, context.Canceled) || errors.Is(err, errInterrupted) {
		return value, errInterrupted
	}
	if err != nil {
		err = fault.WithHint(fmt.Errorf("%s: %w", flag, err), "run the command yourself: it must print the passphrase and nothing else")
	}
	return value, fault.WithCode(err, fault.SecretsShut)
}

// untilInterrupted returns a context that Ctrl-C ends.
func (g *prompts) untilInterrupted() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // where a key is opened, age knows no context; Ctrl-C ends it
	go func() {
		select {
		case <-g.interrupted:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// programPrompts gets what programs write to standard error: a terminal as well, since
// what a program asks must be seen; nil where there is none.
func (g *prompts) programPrompts() io.Writer {
	if g.Term == nil {
		return nil
	}
	return terminal.Under(g.Err)
}

// newPassphrase has a person type a new key's passphrase twice. It is empty only with
// --no-passphrase.
func (g *prompts) newPassphrase() (secret.Value, error) {
	switch {
	case g.noPassphrase && !g.typesPassphrase():
		return secret.Value{}, fault.WithCode(errors.New("a passphrase file or command and --no-passphrase contradict each other"), fault.Usage)
	case g.noPassphrase:
		return secret.Value{}, nil
	}
	first, err := g.passphrase("Passphrase for your key: ")
	if err != nil {
		return first, err
	}
	if first.IsZero() {
		return first, fault.WithHint(errors.New("an empty passphrase does not protect anything"), "choose one, and keep it in a "+
			"password manager; --no-passphrase leaves the key unencrypted")
	}
	if g.typesPassphrase() {
		again, err := g.passphrase("The same again: ")
		if err == nil && string(again.Reveal()) != string(first.Reveal()) {
			err = errors.New("the two passphrases differ; no key was made")
		}
		if err != nil {
			return first, err
		}
	}
	return first, nil
}

// protection says how a new key is protected on the disk.
func protection(passphrase secret.Value) string {
	switch {
	case passphrase.IsZero():
		return "unencrypted: anyone who can read the file can open everything"
	case secret.Weak(passphrase):
		return "protected by the passphrase, which someone with the file could guess: six random words are safe"
	}
	return "protected by the passphrase"
}

// showsOnTerminal reports whether a person sees what is printed, and nothing keeps it.
func (g *prompts) showsOnTerminal() bool {
	out, is := terminal.Under(g.Out).(*os.File)
	return is && term.IsTerminal(int(out.Fd()))
}

// keptPrivate is an error where what is printed goes into a file that others may
// read: nothing that holds the recovery key may be there.
func (g *prompts) keptPrivate(hint string) error {
	out, is := terminal.Under(g.Out).(*os.File)
	if !is {
		return nil
	}
	info, err := out.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o066 == 0 {
		return err
	}
	return fault.WithHint(fmt.Errorf("standard output is a file that other users can read (mode %04o), and the recovery key would be in it", info.Mode().Perm()), hint)
}
