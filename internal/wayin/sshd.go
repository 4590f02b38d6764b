package wayin

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"salvor/internal/converge"
	"salvor/internal/fault"
	"salvor/internal/machine"
	"salvor/internal/machine/observe"
	"salvor/internal/resource"
)

const (
	program  = "/usr/sbin/sshd"
	mainFile = "/etc/ssh/sshd_config"
	folder   = "/etc/ssh/sshd_config.d"
	unit     = "ssh.service"
	socket   = "ssh.socket" // of Ubuntu 24.04

	// DropIn sorts before all others, also before a cloud image's 50-cloud-init.conf: sshd takes the first value.
	DropIn = folder + "/00-salvor.conf"

	quick = 30 * time.Second
)

// stamp is written once sshd has read its files again.
func stamp() string { return in("sshd-read") }

//go:embed sshd.conf
var settings []byte

// sshd is Salvor's drop-in, in force. What sshd does is asked of `sshd -T`.
type sshd struct{ user string }

var _ converge.Resource = sshd{}

// ID implements converge.Resource.
func (s sshd) ID() string { return "sshd settings" }

// Links implements converge.Resource.
func (s sshd) Links() converge.Links {
	return converge.Links{Looks: observe.Query{Paths: []string{DropIn, stamp()}, Units: []string{unit}}}
}

// content is the drop-in.
func (s sshd) content() []byte {
	if s.user != "root" {
		return settings
	}
	return append(bytes.Clone(settings), "\n# Salvor logs in as root.\nPermitRootLogin prohibit-password\n"...)
}

func (s sshd) file() resource.File {
	return resource.File{Path: DropIn, Content: s.content(), Mode: 0o600}
}

// Diff implements converge.Resource. Where the drop-in is right and sshd does otherwise anyway, nothing here can
// change that: Overruled says what does, and that sshd can't read its files.
func (s sshd) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	now, err := ask(ctx, h.Machine)
	if errors.Is(err, errUnreadable) {
		return nil, nil
	}
	if err != nil || now == nil {
		return nil, err
	}
	file, err := s.file().Diff(ctx, h)
	if err != nil {
		return nil, err
	}
	owed, err := s.owed(ctx, h)
	if err != nil || file == nil && !owed {
		return nil, err
	}
	causes := []string{"sshd has not read it yet"}
	action := converge.Changes
	if file != nil {
		action, causes = file.Action, []string{DropIn + ": " + file.Cause}
		_, texts := broken(s.user, now)
		for _, text := range texts {
			causes = append(causes, "sshd "+text)
		}
	}
	change := &converge.Change{Action: action, Cause: strings.Join(causes, "; "), Apply: func(ctx context.Context, say func(string)) error {
		if file != nil {
			if err := file.Apply(ctx, say); err != nil {
				return err
			}
		}
		return reload(ctx, h.Machine)
	}}
	if file != nil {
		change.Seen = file.Seen
	}
	return change, nil
}

// owed reports whether a run was interrupted after it wrote the drop-in and before sshd read it.
func (s sshd) owed(ctx context.Context, h *observe.Host) (bool, error) {
	file, err := h.File(ctx, DropIn)
	if err != nil {
		return false, err
	}
	read, err := h.File(ctx, stamp())
	if err != nil {
		return false, err
	}
	is, err := h.Unit(ctx, unit)
	return file.Exists && is.Active == "active" && file.Modified.After(read.Modified) && file.Modified.After(is.Since), err
}

// reload has sshd read its files again. Connections that are open stay, and so does sshd with files that it can't read.
func reload(ctx context.Context, m machine.Machine) error {
	if _, err := m.Run(ctx, machine.Cmd{Argv: []string{program, "-t"}, Timeout: quick}); err != nil {
		return err
	}
	if _, err := m.Run(ctx, machine.Cmd{Argv: []string{"systemctl", "--quiet", "try-reload-or-restart", unit}, Timeout: quick}); err != nil {
		return err
	}
	return m.WriteFile(ctx, stamp(), strings.NewReader("sshd has read "+DropIn+"\n"), 0o600)
}

// ask returns what sshd does by its files, nil for a host without it.
func ask(ctx context.Context, m machine.Machine) (Options, error) {
	out, err := m.Run(ctx, machine.Cmd{Argv: []string{program, "-T"}, Timeout: quick})
	exit, ended := errors.AsType[*machine.ExitError](err)
	switch {
	case ended && exit.Code == 127:
		return nil, nil
	case ended:
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return ParseOptions(out.Stdout), err
}

// errUnreadable means that sshd does not understand its files: it goes on with what it has read before, and would not
// start again. Nothing of the way in is changed meanwhile.
var errUnreadable = errors.New("sshd can't read its files")

// check refuses what would lock out, before anything is changed: what sshd can't read, and what others wrote into
// its files that it has not read yet, such as another port or a user who may not log in.
func (s sshd) check(ctx context.Context, m machine.Machine) error {
	// a Match that asks for more than is said here is an error
	login := "user=" + s.user + ",host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22"
	argv := []string{program, "-T", "-f", "/dev/stdin", "-C", login}
	candidate := append(s.content(), "Include "+mainFile+"\n"...)
	out, err := m.Run(ctx, machine.Cmd{Argv: argv, Stdin: bytes.NewReader(candidate), Timeout: quick})
	if err != nil {
		return fmt.Errorf("sshd refuses its settings, and keeps those that it has: %w", err)
	}
	next := ParseOptions(out.Stdout)
	if next.First("pubkeyauthentication") != "yes" {
		return errors.New("sshd would take no keys")
	}
	if s.user == "root" && !slices.Contains([]string{"without-password", "prohibit-password", "yes"}, next.First("permitrootlogin")) {
		return errors.New("sshd would not let root in")
	}
	return checkPorts(ctx, m, next)
}

// sshPorts are where SSH answers by sshd's files, or by the socket that starts sshd: its files have no ports then.
func sshPorts(ctx context.Context, m machine.Machine, o Options) ([]string, error) {
	out, err := m.Run(ctx, machine.Cmd{Argv: []string{"systemctl", "show", "--property=ActiveState,Listen", "--", socket}, Timeout: quick})
	if err != nil {
		return nil, fmt.Errorf("ask systemd for %s: %w", socket, err)
	}
	if ports := ParseSocket(out.Stdout); len(ports) > 0 {
		return ports, nil
	}
	return o.ports(), nil
}

// checkPorts refuses ports on which nothing listens now: the files say otherwise than what runs.
func checkPorts(ctx context.Context, m machine.Machine, o Options) error {
	ports, err := sshPorts(ctx, m, o)
	if err != nil {
		return err
	}
	listeners, err := observe.Listeners(ctx, m)
	if err != nil {
		return err
	}
	for _, port := range ports {
		if !slices.ContainsFunc(listeners, func(l observe.Listener) bool { return l.Protocol == "tcp" && fmt.Sprint(l.First) == port }) {
			return fault.WithHint(fmt.Errorf("sshd would listen on port %s, which it does not now: its files were changed since it read them", port),
				"grep -rni '^ *port' "+mainFile+" "+folder+" there shows who says so")
		}
	}
	return nil
}
