package suite

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// goTest runs go test and prints what failed. A test that fails is not an error.
func (s *suite) goTest(ctx context.Context, env []string, args ...string) (results, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Env = append(append(os.Environ(), "GOTMPDIR="+s.folder), env...)
	cmd.Stderr = s.Err
	// a group of its own, so that an interrupt reaches the tests and not only go:
	// they take their lab down before they end
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 3 * time.Minute
	events, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	got := results{}
	readErr := got.read(events, s.ended, s.print)
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case readErr != nil:
		return nil, readErr
	case err != nil && !got.failed():
		return nil, fmt.Errorf("go test %s: %w", strings.Join(args, " "), err)
	}
	return got, nil
}

// ended prints what a package that failed has to say, each one's in one piece.
func (s *suite) ended(o *outcome) {
	switch {
	case s.Verbose:
		s.print(o.saying(func(string) bool { return true }))
	case o.status == "fail":
		s.print(o.saying(func(status string) bool { return status != "pass" && status != "skip" }))
	}
}

func (s *suite) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprint(s.Out, text)
}

// lines returns what a program prints, line by line.
func lines(ctx context.Context, argv ...string) ([]string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n"), nil
}
