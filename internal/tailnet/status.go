package tailnet

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"time"

	"salvor/internal/machine"
	"salvor/internal/terminal"
)

// A Status is what a host's tailscaled says of it.
type Status struct {
	Backend string     // "Running", "NeedsLogin" and so on, on one line
	Address netip.Addr // IPv4, where packets to it arrive: the zero one while they don't
	Expires time.Time  // of the node's key, zero for never
}

// Member reports whether the host is logged in, whether or not it is up.
func (s Status) Member() bool {
	switch s.Backend {
	case "Running", "Starting", "Stopped":
		return true
	}
	return false // NeedsLogin, NeedsMachineAuth, NoState
}

// Absence says why the host can't be reached by the tailnet, "" where it can.
func (s Status) Absence() string {
	switch {
	case s.Address.IsValid():
		return ""
	case !s.Member():
		return "it is logged out: " + s.Backend
	case s.Backend == "Running":
		return "it has no IPv4 address there, or tailscaled runs without a network interface"
	}
	return "it is down: " + s.Backend
}

// ParseStatus reads what `tailscale status --json` prints. Fields that it lacks are as if
// the host were not there.
// Source: tailscale.com/ipn/ipnstate, Status.
func ParseStatus(content []byte) (Status, error) {
	var said struct {
		BackendState string
		TUN          bool
		TailscaleIPs []netip.Addr
		Self         *struct{ KeyExpiry *time.Time }
	}
	if err := json.Unmarshal(content, &said); err != nil {
		return Status{}, errors.New("tailscale status: the answer is not what Tailscale describes")
	}
	s := Status{Backend: terminal.Line(said.BackendState)}
	for _, ip := range said.TailscaleIPs {
		if ip.Is4() && said.TUN && s.Backend == "Running" {
			s.Address = ip
			break
		}
	}
	if said.Self != nil && said.Self.KeyExpiry != nil {
		s.Expires = said.Self.KeyExpiry.UTC()
	}
	return s, nil
}

// A runner runs programs on a host.
type runner interface {
	Run(context.Context, machine.Cmd) (machine.Output, error)
}

// ErrNotThere means that a host has no tailscale, or that its daemon does not run.
var ErrNotThere = errors.New("tailscaled is not there")

// StatusOf asks a host's tailscaled; the error wraps ErrNotThere where there is none.
func StatusOf(ctx context.Context, m runner) (Status, error) {
	out, err := ask(ctx, m, "status", "--json", "--peers=false")
	if err != nil {
		return Status{}, err
	}
	return ParseStatus(out)
}

// ask runs tailscale and returns what it prints.
func ask(ctx context.Context, m runner, args ...string) ([]byte, error) {
	out, err := m.Run(ctx, machine.Cmd{Argv: append([]string{"env", program}, args...), Timeout: askTime})
	if exit, is := errors.AsType[*machine.ExitError](err); is {
		if exit.Code == 127 || strings.Contains(string(exit.Stderr), "failed to connect to local") {
			return nil, ErrNotThere
		}
	}
	return out.Stdout, err
}
