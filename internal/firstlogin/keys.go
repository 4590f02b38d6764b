package firstlogin

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"

	"salvor/internal/machine/ssh"
	"salvor/internal/resource"
)

// readKeys prints the user's authorized_keys, if there is one.
const readKeys = `
file=$HOME/.ssh/authorized_keys
if [ -L "$file" ] || { [ -e "$file" ] && [ ! -f "$file" ]; }; then
	echo "$file is not a regular file" >&2; exit 1
fi
[ ! -e "$file" ] || exec cat -- "$file"
`

// writeKeys takes a unique name and the content's length. sshd refuses keys in a folder
// or a file into which others may write.
const writeKeys = `
dir=$HOME/.ssh file=$HOME/.ssh/authorized_keys tmp=$HOME/.ssh/.salvor-$1.tmp
umask 077
if [ -d "$dir" ]; then chmod go-w -- "$dir"; else mkdir -- "$dir"; fi || exit 1
trap 'rm -f -- "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
set -C
cat >"$tmp" || exit 1
[ "$(wc -c <"$tmp")" -eq "$2" ] || { echo "the content was cut off" >&2; exit 1; }
chmod 600 -- "$tmp" && sync -- "$tmp" && mv -fT -- "$tmp" "$file"
`

// putKeys writes the fleet's keys where apply keeps them from then on, so that there is
// one place to change them. All else in the file stays.
func (d Door) putKeys(ctx context.Context, l *ssh.Login) error {
	have, err := l.Run(ctx, readKeys, nil)
	if err != nil {
		return d.failed("read authorized_keys", err)
	}
	want, err := resource.Block{Name: "salvor", Lines: d.Lines}.Within([]byte(have))
	if err != nil {
		return fmt.Errorf("~/.ssh/authorized_keys of %s %w", d.User, err)
	}
	if string(want) == have {
		return nil
	}
	_, err = l.Run(ctx, writeKeys, strings.NewReader(string(want)), rand.Text(), strconv.Itoa(len(want)))
	return d.failed("write authorized_keys", err)
}
