package machine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// Path is the PATH of the clean environment.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Environ returns what the program gets: base, the C locale, its terminal's
// type, then Env.
func (c Cmd) Environ(base ...string) []string {
	env := append(slices.Clone(base), "LC_ALL=C")
	if c.TTY != nil {
		env = append(env, "TERM="+cmp.Or(c.TTY.Term, "xterm"))
	}
	return append(env, c.Env...)
}

// Check says what about c no machine could run.
func (c Cmd) Check() error {
	if len(c.Argv) == 0 || c.Argv[0] == "" || strings.Contains(c.Argv[0], "=") {
		return fmt.Errorf("%q is not a program", c.Argv)
	}
	for _, s := range slices.Concat(c.Argv, c.Env, []string{c.Dir}) {
		if strings.Contains(s, "\x00") {
			return fmt.Errorf("%s: NUL byte in an argument", c.Argv[0])
		}
	}
	for _, e := range c.Env {
		if name, _, found := strings.Cut(e, "="); !found || name == "" {
			return fmt.Errorf("%s: %q does not set a variable", c.Argv[0], e)
		}
	}
	return nil
}

// WithTimeout returns a context that ends with ctx and when c.Timeout is over,
// and whose cause then says so.
func (c Cmd) WithTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.Timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("no end after %s: %w", c.Timeout, context.DeadlineExceeded))
}
