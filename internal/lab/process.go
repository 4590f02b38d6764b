package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// maxStderr bounds what is kept of a program's messages for its error.
const maxStderr = 8 << 10

// A process is a program to run on this machine.
type process struct {
	argv  []string
	env   []string // added to the caller's environment
	dir   string
	stdin io.Reader
}

// run returns what the program printed; a non-zero exit is an error that holds
// the end of its messages.
func (p process) run(ctx context.Context) (string, error) {
	var out bytes.Buffer
	err := p.stream(ctx, &out)
	return out.String(), err
}

// stream writes what the program prints to out while it prints.
func (p process) stream(ctx context.Context, out io.Writer) error {
	var messages tail
	cmd := exec.CommandContext(ctx, p.argv[0], p.argv[1:]...)
	cmd.Env = append(append(os.Environ(), "LC_ALL=C"), p.env...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = p.dir, p.stdin, out, &messages
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", shown(p.argv), err, strings.TrimSpace(string(messages.kept)))
	}
	return nil
}

// shown is a command line short enough for an error message.
func shown(argv []string) string {
	line := strings.Join(argv, " ")
	if len(line) > 160 {
		line = line[:160] + "…"
	}
	return line
}

// A tail keeps the last maxStderr bytes written to it.
type tail struct{ kept []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b...)
	if extra := len(t.kept) - maxStderr; extra > 0 {
		t.kept = t.kept[extra:]
	}
	return len(b), nil
}

// docker runs the Docker command line against the machine's engine. The command
// line is used rather than the API: an error shows what a person can paste, and
// it speaks to every engine that the machine's own Docker speaks to.
func docker(ctx context.Context, args ...string) (string, error) {
	out, err := process{argv: append([]string{"docker"}, args...)}.run(ctx)
	return strings.TrimSpace(out), err
}

// until calls probe until it returns nil, and gives its last error when the time
// is over. It pauses 100 ms, or three times as long as a probe takes, a second at most: several
// hosts that boot at once share a few processors with it.
func until(ctx context.Context, limit time.Duration, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		began := time.Now()
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s: %w", limit, err)
		case <-time.After(min(time.Second, max(100*time.Millisecond, 3*time.Since(began)))):
		}
	}
}
