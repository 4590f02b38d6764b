package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine/ssh"
	"salvor/internal/terminal"
)

func newHost(g *globals) *cobra.Command {
	return newGroup("host", "Hosts: the declared servers", newHostAdd(g), newHostCreate(g), newHostCloudInit(g), newHostLs(g), newHostTake(g), newHostRelease(g), newHostRemove(g), newHostDestroy(g))
}

// parseHost reads [USER@]ADDRESS[:PORT].
func parseHost(name, address string) (fleet.Host, error) {
	h := fleet.Host{Name: name, Address: address, User: "root", Port: 22}
	if user, rest, found := strings.Cut(address, "@"); found {
		h.User, h.Address = user, rest
	}
	if host, port, err := net.SplitHostPort(h.Address); err == nil {
		h.Address = host
		if h.Port, err = strconv.Atoi(port); err != nil {
			return h, fault.WithCode(fmt.Errorf("%q is not a port", port), fault.Usage)
		}
	}
	if h.Address == "" || h.User == "" {
		return h, fault.WithCode(fmt.Errorf("%q is not [USER@]ADDRESS[:PORT]", address), fault.Usage)
	}
	if bare := strings.TrimSuffix(strings.TrimPrefix(h.Address, "["), "]"); strings.Contains(bare, ":") {
		h.Address = bare // of IPv6, as it is written in front of a port
	}
	if err := fleet.ValidHost(name); err != nil {
		return h, err
	}
	return h, declarable(h)
}

// declarable refuses what fleet.yaml could not have, before anyone is asked and anything is done.
func declarable(h fleet.Host) error {
	if err := controlrepo.CheckReach(h); err != nil {
		return fault.WithCode(err, fault.Usage)
	}
	return nil
}

// trustJump pins the key of a host's jump host, where none is pinned yet.
func (g *globals) trustJump(ctx context.Context, a *app.App, h fleet.Host, expected string) error {
	jump, unpinned := a.Reach.Jump(h)
	if !unpinned {
		return nil
	}
	key, err := g.trust(ctx, a, jump, expected, "--jump-key")
	if err != nil {
		return err
	}
	return a.Hosts.PinJump(ctx, jump, key.Key)
}

// trust shows the key that the host has and compares it with what the operator
// expects, or asks. --yes does not answer that: without a terminal the key has to be
// named by a flag.
func (g *globals) trust(ctx context.Context, a *app.App, h fleet.Host, expected, flag string) (ssh.HostKey, error) {
	key, err := a.Reach.ScanHost(ctx, h)
	if err != nil {
		return key, err
	}
	if expected != "" {
		if expected != key.Fingerprint {
			return key, fault.WithCode(fmt.Errorf("%s presents %s, not %s; it is not trusted", h.Name, key.Fingerprint, expected), fault.Unreachable)
		}
		return key, nil
	}
	terminal.Printf(g.Err, "%s (%s) presents the key %s\n", h.Name, h.Address, key.Fingerprint)
	if g.Term == nil {
		return key, fault.WithCode(fault.WithHint(fmt.Errorf("%s was not confirmed as the key of %s", key.Fingerprint, h.Name),
			flag+" SHA256:… confirms it; to see the key on the machine: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"), fault.Usage)
	}
	if err := g.askYes("Is that its key?"); err != nil {
		return key, errors.Join(err, fmt.Errorf("compare it with: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on %s", h.Name))
	}
	return key, nil
}
