package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"salvor/internal/machine"
)

// maxSaid is more than a program says when it has started.
const maxSaid = 4 << 10

// Background starts a program, which sees argv, that outlives this process: in a session of its own,
// without a terminal, in the root folder, with PATH and HOME for its environment. It
// returns the first line that the program writes, once the program has read stdin and
// written it. A program that has written none when ctx ends, or ends without one, is an
// error. What it writes later no one reads.
func Background(ctx context.Context, program string, argv []string, stdin io.Reader) (first string, err error) {
	if err := (machine.Cmd{Argv: argv}).Check(); err != nil {
		return "", err
	}
	out, theirs, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer out.Close()
	cmd := exec.Command(program) //nolint:noctx // it continues when ctx ends
	cmd.Args, cmd.Dir, cmd.Env = argv, "/", []string{"PATH=" + machine.Path, "HOME=" + home()}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	if closed := theirs.Close(); err != nil || closed != nil {
		return "", errors.Join(err, closed)
	}
	go func() { _ = cmd.Wait() }() // so that it leaves no trace if this process is there longer
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(io.LimitReader(out, maxSaid)).ReadString('\n')
	if !stop() {
		return "", fmt.Errorf("%s: %w", argv[0], context.Cause(ctx))
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s ended at once", argv[0])
	}
	return strings.TrimSuffix(line, "\n"), err
}
