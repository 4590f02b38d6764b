package observe

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/machine"
	"salvor/internal/project"
)

// A Listener is a port that a program listens on.
type Listener struct {
	project.HostPort
	Program string // "" for the kernel, or where it is not known
}

// Listeners asks which ports of a machine are in use, by its network alone: not by what is
// in a container's.
func Listeners(ctx context.Context, m machine.Machine) ([]Listener, error) {
	out, err := m.Run(ctx, machine.Cmd{Argv: []string{"ss", "-Hltunp"}, Timeout: deadline})
	if err != nil {
		return nil, fmt.Errorf("look at ports in use: %w", err)
	}
	return ParseListeners(out.Stdout)
}

// ParseListeners reads what ss(8) prints, one line a socket.
func ParseListeners(out []byte) ([]Listener, error) {
	var all []Listener
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			return nil, fmt.Errorf("ss: unexpected line %q", line)
		}
		l, err := parseListener(fields[0], fields[4], strings.Join(fields[5:], " "))
		if err != nil {
			return nil, fmt.Errorf("ss: line %q: %w", line, err)
		}
		if !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	return all, nil
}

func parseListener(protocol, local, users string) (Listener, error) {
	colon := strings.LastIndexByte(local, ':')
	port, err := strconv.Atoi(local[colon+1:])
	if err != nil || colon < 0 {
		return Listener{}, fmt.Errorf("%q is not an address with a port", local)
	}
	l := Listener{HostPort: project.HostPort{Protocol: protocol, First: port, Last: port}}
	if address := strings.Trim(local[:colon], "[]"); address != "*" {
		address, _, _ = strings.Cut(address, "%")
		ip, err := netip.ParseAddr(strings.Trim(address, "[]"))
		if err != nil {
			return Listener{}, err
		}
		l.Address = ip.Unmap().String()
	}
	if _, begins, named := strings.Cut(users, `users:(("`); named {
		l.Program, _, _ = strings.Cut(begins, `"`)
	}
	return l, nil
}
