package ssh

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"salvor/internal/machine"
)

// Exit codes of the scripts below, chosen clear of those that cat, mv and the
// shell use.
const (
	exitMissing    = 66
	exitNotRegular = 67
)

const readScript = `[ -e "$1" ] || exit 66; exec cat -- "$1"`

// writeScript takes the path, the mode and a unique name. The shell knows that
// name before the file is there, so a signal at any point removes it: cat runs in
// the background, because a shell that waits for a foreground program heeds no
// signal, and cat misses one that comes while it is being started. Content that
// was cut never looks complete (see launch.go), so what cat has read whole is
// renamed.
const writeScript = `
name=$1 mode=$2 unique=$3
case $name in /*) ;; *) name=./$name ;; esac
[ -d "${name%/*}/" ] || exit 66
if [ -L "$name" ] || { [ -e "$name" ] && [ ! -f "$name" ]; }; then exit 67; fi
tmp=${name%/*}/.salvor-$unique.tmp
trap 'rm -f -- "$tmp"' EXIT
trap 'exit 1' TERM
umask 077; set -C
exec 3<&0 4>"$tmp" || exit 1
cat <&3 >&4 3<&- 4>&- & exec 3<&- 4>&-
wait $! && chmod "$mode" -- "$tmp" && sync -- "$tmp" && mv -fT -- "$tmp" "$name" && sync -- "${name%/*}/"
`

// ReadFile implements machine.Machine.
func (m *Machine) ReadFile(ctx context.Context, name string) ([]byte, error) {
	var content bytes.Buffer
	_, err := m.Run(ctx, machine.Cmd{Argv: []string{"sh", "-c", readScript, "salvor", name}, Stdout: &content})
	if exitedWith(err, exitMissing) {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, err
	}
	return content.Bytes(), nil
}

// WriteFile implements machine.Machine.
func (m *Machine) WriteFile(ctx context.Context, name string, content io.Reader, mode fs.FileMode) error {
	argv := []string{"sh", "-c", writeScript, "salvor", name, fmt.Sprintf("%04o", mode.Perm()), rand.Text()}
	_, err := m.Run(ctx, machine.Cmd{Argv: argv, Stdin: full{content}})
	switch {
	case exitedWith(err, exitMissing):
		return &fs.PathError{Op: "write", Path: name, Err: fs.ErrNotExist}
	case exitedWith(err, exitNotRegular):
		return fmt.Errorf("%s exists and is not a regular file", name)
	default:
		return err
	}
}

func exitedWith(err error, code int) bool {
	var exit *machine.ExitError
	return errors.As(err, &exit) && exit.Code == code
}

// full fills each read as far as it goes: nothing waits for the first byte of a file,
// and large frames are cheap.
type full struct{ from io.Reader }

// Read implements io.Reader.
func (f full) Read(p []byte) (int, error) {
	n, err := io.ReadFull(f.from, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}
