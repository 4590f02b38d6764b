package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine/ssh"
	"salvor/internal/terminal"
)

func newHost(g *globals) *cobra.Command {
	return newGroup("host", "Hosts: the declared servers", newHostAdd(g), newHostLs(g), newHostRemove(g))
}

type hostAddOptions struct {
	hostKey string
	jump    string
	jumpKey string
}

func newHostAdd(g *globals) *cobra.Command {
	var o hostAddOptions
	cmd := &cobra.Command{
		Use:   "add NAME [USER@]ADDRESS[:PORT]",
		Short: "Pin a server's SSH key, install salvord and declare it",
		Args:  exactArgs("NAME", "[USER@]ADDRESS[:PORT]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runHostAdd(cmd.Context(), g, args[0], args[1], o)
		},
	}
	cmd.Flags().StringVar(&o.hostKey, "host-key", "", "the expected `SHA256:…` fingerprint, instead of a question")
	cmd.Flags().StringVar(&o.jump, "jump", "", "reach it through `USER@HOST:PORT`")
	cmd.Flags().StringVar(&o.jumpKey, "jump-key", "", "the jump host's expected `SHA256:…` fingerprint, if it is not pinned yet")
	return cmd
}

func runHostAdd(ctx context.Context, g *globals, name, address string, o hostAddOptions) error {
	h, err := parseHost(name, address)
	if err != nil {
		return err
	}
	h.Jump = o.jump
	return g.with(ctx, func(a *app.App) error {
		if err := g.trustJump(ctx, a, h, o.jumpKey); err != nil {
			return err
		}
		key, err := g.trust(ctx, a, h, o.hostKey, "--host-key")
		if err != nil {
			return err
		}
		add, err := a.AddHost(ctx, h, key.Key, false)
		if err != nil {
			return err
		}
		if err := a.Checkout.CommitFiles(ctx, add.Files, "host add: "+h.Name); err != nil {
			return err
		}
		terminal.Printf(g.Err, "%s is part of %s. Let it read the repository: add this as a read-only deploy key at your Git host:\n", h.Name, a.Fleet().Name)
		return g.printOne("git_key", add.GitKey)
	})
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
	return h, fleet.ValidHost(name)
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
	return a.PinJump(ctx, jump, key.Key)
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

func newHostLs(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List the declared hosts and what is placed on them",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error { return printHosts(g, a) })
		},
	}
}

func printHosts(g *globals, a *app.App) error {
	type row struct {
		Host    string   `json:"host"`
		Address string   `json:"address"`
		User    string   `json:"user"`
		Port    int      `json:"port"`
		Stacks  []string `json:"stacks"`
	}
	rows, lock := []row{}, a.Lock()
	for _, h := range a.Fleet().Hosts {
		rows = append(rows, row{h.Name, h.Address, h.User, h.Port, append([]string{}, lock.On(h.Name)...)})
	}
	if g.json {
		return g.printJSON(struct {
			Schema int   `json:"schema"`
			Hosts  []row `json:"hosts"`
		}{fleet.Schema, rows})
	}
	tab := tabwriter.NewWriter(g.Out, 0, 0, 3, ' ', 0)
	terminal.Printf(tab, "HOST\tADDRESS\tSTACKS\n")
	for _, r := range rows {
		terminal.Printf(tab, "%s\t%s@%s:%d\t%s\n", r.Host, r.User, r.Address, r.Port, strings.Join(r.Stacks, ", "))
	}
	return tab.Flush()
}
