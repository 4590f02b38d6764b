// Package machine reaches hosts: it runs programs, moves files and dials
// sockets on them, over SSH (machine/ssh) or on this one (machine/local).
package machine

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"time"

	"salvor/internal/fault"
)

// ErrUnreachable is wrapped by errors that mean: the host could not be reached
// or the connection was lost. It maps to exit code 13.
var ErrUnreachable = fault.Kind("host unreachable", fault.Unreachable)

// ErrHostKey is wrapped by errors that mean: the host showed another key than
// the one pinned in the repository, or none is pinned.
var ErrHostKey = fault.Kind("host key not trusted", fault.Unreachable)

// ErrDenied is wrapped by errors that mean: the host is there, but lets this
// user not in, or not become root. It is never an ErrUnreachable, since a host
// that answers must not be taken for a lost one.
var ErrDenied = fault.Kind("access denied", fault.Unreachable)

// Grace is what a program gets between SIGTERM and SIGKILL.
const Grace = 5 * time.Second

// A Machine is a host within reach. Methods are safe for concurrent use, honour
// ctx, and leave no process behind on the host when ctx ends. Commands run as
// root: a machine whose user is another one uses sudo. After Close, a machine
// that had a connection returns net.ErrClosed.
type Machine interface {
	// Run runs a program without a shell. A non-zero exit is an *ExitError, 127 where
	// there is no such program; any other error means that it is unknown how far it
	// got. When ctx ends or the connection is lost, the program's process group gets
	// SIGTERM, and SIGKILL once the program is gone or Grace is over. What a program
	// leaves running in its process group ends with it.
	Run(ctx context.Context, c Cmd) (Output, error)
	// ReadFile returns a file's content; a missing one is fs.ErrNotExist.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	// WriteFile puts content at path atomically: temporary file next to it, mode,
	// fsync, rename. Missing parent folders are an error.
	WriteFile(ctx context.Context, path string, content io.Reader, mode fs.FileMode) error
	// Dial connects to a socket as seen from the host: "unix" or "tcp".
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
	// Close ends the connection. It may be called twice.
	Close() error
}

// A Cmd is a program to run. Secrets travel by Stdin, never in Argv or Env.
type Cmd struct {
	Argv    []string
	Env     []string // added to a small clean environment (PATH, HOME, LC_ALL=C)
	Dir     string
	Stdin   io.Reader // nil for none; an error that it returns ends the program
	Stdout  io.Writer // nil: collected in Output.Stdout, at most 16 MiB
	Stderr  io.Writer // nil: the last 8 KiB are kept in Output.Stderr
	TTY     *TTY      // for interactive programs; Stdout gets both streams
	Timeout time.Duration
}

// A TTY asks for a terminal on the far side. Resize may be nil.
type TTY struct {
	Term          string
	Width, Height int
	Resize        <-chan [2]int // width, height
}

// Output is what a program printed where Cmd gave no writer.
type Output struct {
	Stdout []byte
	Stderr []byte
}

// An ExitError is a program that ended with another exit code than 0, or by a
// signal (Code -1).
type ExitError struct {
	Argv   []string
	Code   int
	Signal string // without SIG, like "KILL"; "" where the program exited
	Stderr []byte // its tail
}

// Error names the program and the line of its stderr that says why it failed: the
// last one that calls itself an error, or the last.
func (e *ExitError) Error() string {
	msg := fmt.Sprintf("%s: exit %d", e.command(), e.Code)
	if e.Signal != "" {
		msg = fmt.Sprintf("%s: killed by SIG%s", e.command(), e.Signal)
	}
	if why := reason(string(e.Stderr)); why != "" {
		msg += ": " + why
	}
	return msg
}

// command is the program and its first two words, without options: they say what
// was done, and options only how.
func (e *ExitError) command() string {
	words := []string{}
	for i := 0; i < len(e.Argv) && len(words) < 3; i++ {
		switch arg := e.Argv[i]; {
		case takesValue(arg):
			i++
		case !strings.HasPrefix(arg, "-"):
			words = append(words, arg)
		}
	}
	return strings.Join(words, " ")
}

// takesValue knows the options of docker, git and sh that stand before the words
// and are followed by a value.
func takesValue(option string) bool {
	switch option {
	case "-c", "-C", "-f", "-p", "-H", "--project-name", "--project-directory", "--file", "--env-file", "--git-dir", "--work-tree":
		return true
	}
	return false
}

func reason(stderr string) string {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	for _, line := range slices.Backward(lines) {
		line = strings.TrimSpace(line)
		for _, sign := range []string{"fatal: ", "error: ", "Error: ", "ERROR: ", "E: "} {
			if strings.HasPrefix(line, sign) {
				return line
			}
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}

// Command returns a Cmd for a program and its arguments.
func Command(argv ...string) Cmd { return Cmd{Argv: argv} }
