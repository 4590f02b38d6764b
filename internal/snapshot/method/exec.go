package method

import (
	"context"
	"errors"
	"strings"

	"salvor/internal/machine"
)

// Exec runs a command; an error has everything that the program said.
func Exec(ctx context.Context, r Runner, c Command) error {
	err := r.Exec(ctx, c)
	if exit, ok := errors.AsType[*machine.ExitError](err); ok {
		if said := oneLine(string(exit.Stderr)); said != "" {
			return errors.New(said)
		}
	}
	return err
}

// oneLine makes one line of what a program wrote to stderr.
func oneLine(stderr string) string {
	var lines []string
	for line := range strings.Lines(stderr) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " | ")
}

// Word quotes one word for a shell.
func Word(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// Words quotes words for a shell.
func Words(argv []string) string {
	quoted := make([]string, len(argv))
	for i, a := range argv {
		quoted[i] = Word(a)
	}
	return strings.Join(quoted, " ")
}
