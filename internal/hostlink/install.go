package hostlink

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/hostpath"
	"salvor/internal/machine"
	"salvor/internal/progress"
	"salvor/internal/terminal"
	"salvor/internal/version"
)

// ErrNewer means that the host's salvord is newer than this salvor: it may have written
// what an older one does not understand.
var ErrNewer = errors.New("it is newer")

// Install puts this version's salvord on the host, in place of an older one, and
// restarts its service where it runs. A newer one is left alone: ErrNewer. It may
// be called again at any time.
func (l *Link) Install(ctx context.Context) (err error) {
	end := progress.Scope{Sink: l.Sink, Host: l.Host}.Step("install salvord", l.Carrier.Version())
	defer func() { end(err, l.Carrier.Version()) }()
	if err := l.notNewer(ctx); err != nil {
		return err
	}
	arch, err := l.arch(ctx)
	if err != nil {
		return err
	}
	program, err := l.Carrier.Open(arch)
	if err != nil {
		return err
	}
	defer program.Close()
	if err := l.Machine.WriteFile(ctx, hostpath.Salvord, program, 0o755); err != nil {
		return fmt.Errorf("%s: put %s: %w", l.Host, hostpath.Salvord, err)
	}
	return l.restartService(ctx)
}

// notNewer asks the salvord that is there for its version. One that can't even report
// it is replaced.
func (l *Link) notNewer(ctx context.Context) error {
	out, err := l.Machine.Run(ctx, machine.Command(hostpath.Salvord, "version"))
	var exit *machine.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.Host, err)
	}
	there, own := fmt.Sprintf("%.80s", terminal.Line(strings.TrimSpace(string(out.Stdout)))), l.Carrier.Version()
	if there == own || version.Replaces(own, there) {
		return nil
	}
	return fault.WithHint(fmt.Errorf("%s runs salvord %s, and this salvor is %s: %w", l.Host, there, own, ErrNewer), upgradeHint(there))
}

// restartService has systemd start the new program where the service runs;
// a host without the unit is being prepared for the first time.
func (l *Link) restartService(ctx context.Context) error {
	_, err := l.Machine.Run(ctx, machine.Command("systemctl", "try-restart", "salvord.service"))
	var exit *machine.ExitError
	if errors.As(err, &exit) && strings.Contains(string(exit.Stderr), "not found") {
		return nil
	}
	return err
}

func (l *Link) arch(ctx context.Context) (string, error) {
	out, err := l.Machine.Run(ctx, machine.Command("uname", "-m"))
	if err != nil {
		return "", fmt.Errorf("%s: %w", l.Host, err)
	}
	switch name := strings.TrimSpace(string(out.Stdout)); name {
	case "x86_64":
		return "amd64", nil
	case "aarch64":
		return "arm64", nil
	default:
		return "", fmt.Errorf("%s: no salvord for %s; amd64 and arm64 are built", l.Host, name)
	}
}
