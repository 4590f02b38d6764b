package hostlink

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"salvor/internal/fault"
	"salvor/internal/machine"
	"salvor/internal/progress"
)

// bootPatience is what cloud-init may take: it upgrades a new server, and may replace what
// is configured meanwhile.
const bootPatience = 5 * time.Minute

var booting = regexp.MustCompile(`(?m)^status: (running|not started)`)

// AwaitBoot returns once cloud-init has ended, where the host has it, or with an error
// after five minutes. How it ended does not count.
func (l *Link) AwaitBoot(ctx context.Context) error { return l.awaitBoot(ctx, bootPatience) }

func (l *Link) awaitBoot(ctx context.Context, patience time.Duration) (err error) {
	out, err := l.Machine.Run(ctx, machine.Command("cloud-init", "status"))
	var exit *machine.ExitError
	if errors.As(err, &exit) {
		return nil // there is none, or it has failed
	}
	if err != nil || !booting.Match(out.Stdout) {
		return err
	}
	end := progress.Scope{Sink: l.Sink, Host: l.Host}.Step("wait for cloud-init", "")
	defer func() { end(err, "") }()
	_, err = l.Machine.Run(ctx, machine.Cmd{Argv: []string{"cloud-init", "status", "--wait"}, Stdout: &strings.Builder{}, Timeout: patience})
	switch {
	case errors.As(err, &exit):
		return nil
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return fault.WithHint(fmt.Errorf("%s: cloud-init is still running after %s", l.Host, patience), "cloud-init status --long there shows why; then run this command again")
	}
	return err
}
