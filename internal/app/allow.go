package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/atomicfile"
)

// allowProgram asks the operator before a program that fleet.yaml names runs on
// their computer for the first time, with these arguments: whoever can push to the
// repository can name one. What was allowed is kept in this clone.
func (a *App) allowProgram(ctx context.Context, name string, argv []string) error {
	if a.opts.Confirm == nil {
		return nil
	}
	file, err := a.git.OwnFile(ctx, "programs")
	if err != nil {
		return err
	}
	known, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	sum := sha256.Sum256([]byte(strings.Join(argv, "\x00")))
	line := hex.EncodeToString(sum[:])
	if slices.Contains(splitLines(string(known)), line) {
		return nil
	}
	if err := a.opts.Confirm(fmt.Sprintf("fleet.yaml has a program on this computer print the secret %s: %s; let it run, now and from here on?", name, quoted(argv))); err != nil {
		return err
	}
	return atomicfile.Write(file, strings.NewReader(string(known)+line+"\n"), 0o600)
}

// quoted is a command as it is shown: each argument in quotes, so that none of them
// looks like something else.
func quoted(argv []string) string {
	var all []string
	for _, arg := range argv {
		all = append(all, strconv.Quote(arg))
	}
	return strings.Join(all, " ")
}
