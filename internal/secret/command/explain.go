package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"salvor/internal/fault"
	"salvor/internal/machine"
	"salvor/internal/secret"
)

// recipes names the page that explains how to sign in to each program.
const recipes = "docs/secret-commands.md has recipes"

// Exit codes of a program that could not be started, as machine.Machine has them.
const (
	exitDenied   = 126
	exitNotFound = 127
)

// maxReason is as much of a program's last line as fits next to our own words.
const maxReason = 200

// explain is the error of a program that gave no value. It never holds a byte of
// standard output, nor the arguments.
func explain(ctx context.Context, name string, program Program, out machine.Output, err error) error {
	var exit *machine.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", name, context.Cause(ctx))
	case errors.Is(err, context.DeadlineExceeded):
		return fault.WithHint(fmt.Errorf("%s did not print a value within %s%s: %w", name, program.Timeout, reason(out.Stderr), secret.ErrLocked),
			"sign in to "+name+", or allow more time with timeout: in fleet.yaml; "+recipes)
	case !errors.As(err, &exit):
		return fmt.Errorf("%s can't be run: %w", name, secret.ErrLocked)
	case exit.Code == exitNotFound && string(exit.Stderr) == "not found":
		return fault.WithHint(fmt.Errorf("there is no program %s on this computer: %w", name, secret.ErrLocked), "install "+name+"; "+recipes)
	case exit.Code == exitDenied && string(exit.Stderr) == "not executable":
		return fault.WithHint(fmt.Errorf("%s is not executable: %w", name, secret.ErrLocked), "chmod +x, or name the program that should run it")
	}
	if exit.Signal == "INT" || exit.Code == fault.Interrupted { // it has the terminal, and Ctrl-C, to itself
		return fmt.Errorf("%s: %w", name, fault.ErrInterrupted)
	}
	ended := fmt.Sprintf("ended with %d", exit.Code)
	if exit.Signal != "" {
		ended = "was ended by SIG" + exit.Signal
	}
	return fault.WithHint(fmt.Errorf("%s %s%s: %w", name, ended, reason(exit.Stderr), secret.ErrLocked), "sign in to "+name+", then run this again; "+recipes)
}

// reason is the last line of what a program wrote to standard error, as part of a
// sentence, "" where it wrote nothing.
func reason(stderr []byte) string {
	lines := strings.Split(strings.TrimSpace(string(stderr)), "\n")
	last := []rune(strings.TrimSpace(strings.Map(printable, lines[len(lines)-1])))
	switch {
	case len(last) == 0:
		return ""
	case len(last) > maxReason:
		last = append(last[:maxReason], '…')
	}
	return ": " + string(last)
}

// printable drops what would move a terminal's cursor or colour it.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return -1
}
