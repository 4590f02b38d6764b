package ssh

import (
	"fmt"

	"salvor/internal/machine"
)

// SSH's own signals reach one process at best, and a program does not notice a cut
// connection. So every command runs under two small shells:
//
//	salvor ── SSH ── sshd ─┬─ warden: holds a FIFO open as long as it hears from salvor
//	                       └─ launcher ─┬─ exec → program   one process group, so that
//	                                    ├─ watcher: reads the FIFO; its end ends the group
//	                                    └─ pump: hands standard input on, frame by frame
//
// The warden also ends single commands on request. When salvor, the network or sshd
// goes away, the FIFO ends, and with it every command of the connection.

// stopGroup is SIGTERM for the group g, then SIGKILL as soon as the program p
// is gone or machine.Grace is over.
const stopGroup = `stop() {
kill -s TERM -- "-$g"; i=0
while kill -s 0 "$p" && [ $i -lt 50 ]; do sleep 0.1; i=$((i+1)); done
kill -s KILL -- "-$g"
} 2>/dev/null
`

// wardenScript takes the FIFO's path and how many seconds of silence mean that the
// other side is gone. Messages are 24 bytes, padded with blanks.
const wardenScript = stopGroup + `
trap '' HUP INT TERM PIPE
fifo=$1 silence=$2
mkfifo -m 600 "$fifo" && exec 3<>"$fifo" || exit 1
echo salvor-ready
while m=$(timeout -s KILL "$silence" dd bs=24 count=1 iflag=fullblock 2>/dev/null 3>&-); do
set -- $m
case $1 in
alive) ;;
stop) g=$2 p=$3; stop 3>&- & ;;
end) kill -s KILL -- "-$2" 2>/dev/null
[ ! -e "$fifo.$3" ] || rm -f "$fifo.$3" ;; # the pump was quicker killed than done
*) break ;;
esac
done
rm -f "$fifo" "$fifo".*
`

// launchScript takes the FIFO's path, how standard input comes ("none",
// "frames" or "terminal"), and the program. It says its process group on stdout
// before the program starts. A program that reads frames never takes a cut for
// their end: without the last, empty frame, its input stays open until it is
// ended.
const launchScript = stopGroup + `
fifo=$1 input=$2 p=$$; shift 2
read -r a b c d g e <"/proc/$$/stat"
exec 4<"$fifo"
echo "salvor-run $g $p"
{ trap '' HUP INT TERM PIPE; read -r a <&4; stop; } </dev/null >/dev/null 2>&1 &
case $input in
none) exec </dev/null ;;
frames)
mkfifo -m 600 "$fifo.$p"
exec 5<&0
{ trap '' HUP INT TERM PIPE; rm -f "$fifo.$p"
while read -r n && [ "$n" != 0 ] && dd bs="$n" count=1 iflag=fullblock; do :; done <&5
[ "$n" = 0 ] || exec sleep 60
} 4<&- >"$fifo.$p" 2>/dev/null &
exec 5<&- <"$fifo.$p" ;;
esac
exec env "$@" 4<&-
`

// maxLine is what fits into one argument of the user's shell (Linux:
// MAX_ARG_STRLEN, 128 KiB).
const maxLine = 128<<10 - 1

// shell returns the command line that runs a script as root.
func (m *Machine) shell(script string, args ...string) string {
	argv := append([]string{"/bin/sh", "-c", script, "salvor"}, args...)
	if m.sudo {
		argv = append([]string{"sudo", "-n", "--"}, argv...)
	}
	return "exec " + quote(argv)
}

// launch returns the command line for c.
func (m *Machine) launch(c machine.Cmd) (string, error) {
	input := "none"
	switch {
	case c.TTY != nil:
		input = "terminal"
	case c.Stdin != nil:
		input = "frames"
	}
	args := []string{m.warden.fifo, input, "-i"}
	if c.Dir != "" {
		args = append(args, "-C", c.Dir)
	}
	args = append(append(args, c.Environ("PATH="+machine.Path, "HOME=/root")...), c.Argv...)
	line := m.shell(launchScript, args...)
	if len(line) > maxLine {
		return "", fmt.Errorf("%s: a command line of %d KiB is too long; pass it on standard input", c.Argv[0], len(line)>>10)
	}
	return line, nil
}
