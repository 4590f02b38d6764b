package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hosts"
	"salvor/internal/machine/ssh"
	"salvor/internal/terminal"
)

type hostAddOptions struct {
	hostKey string
	jump    string
	jumpKey string
	manage  string
	login   firstLoginOptions
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
	cmd.Flags().StringVar(&o.hostKey, "host-key", "", "the expected `FINGERPRINT` (SHA256:…), instead of a question")
	cmd.Flags().StringVar(&o.jump, "jump", "", "reach it through `USER@HOST:PORT`")
	cmd.Flags().StringVar(&o.jumpKey, "jump-key", "", "the jump host's expected `FINGERPRINT` (SHA256:…), if it is not pinned yet")
	cmd.Flags().StringVar(&o.manage, "manage", "", "`AREAS` that Salvor takes care of there, such as docker,time, or none (default: "+
		strings.Join(fleet.CleanAreas().Words(), ",")+" for a host without containers, else none)")
	o.login.flags(cmd)
	return cmd
}

func runHostAdd(ctx context.Context, g *globals, name, address string, o hostAddOptions) error {
	h, err := parseHost(name, address)
	if err != nil {
		return err
	}
	h.Jump = o.jump
	if err := declarable(h); err != nil {
		return err
	}
	if h.Manage, err = parseAreas(o.manage); err != nil {
		return err
	}
	return adding(ctx, g, name, func(a *app.App) (hosts.Addition, error) {
		if _, declared := a.Fleet().Host(name); declared && h.Manage != nil {
			return hosts.Addition{}, fault.WithCode(fault.WithHint(fmt.Errorf("%s is a host already: manage: in %s says what is Salvor's there", name, fleet.File), "salvor host take "+name+" AREA"), fault.Usage)
		}
		if err := g.trustJump(ctx, a, h, o.jumpKey); err != nil {
			return hosts.Addition{}, err
		}
		key, err := trustNew(ctx, g, a, h, o)
		if err != nil {
			return hosts.Addition{}, err
		}
		if err := letIn(ctx, g, a, h, key, o.login); err != nil {
			return hosts.Addition{}, err
		}
		added, err := accepted(ctx, g, a.Hosts.PrepareAdd(h, key))
		if err != nil {
			return added, err
		}
		return added, a.Servers.Known(name)
	})
}

// parseAreas reads a list of areas, nil for "".
func parseAreas(list string) (fleet.Areas, error) {
	switch list {
	case "":
		return nil, nil
	case "none":
		return fleet.Areas{}, nil
	}
	areas := fleet.Areas{}
	for word := range strings.SplitSeq(list, ",") {
		area, err := controlrepo.ParseArea(word)
		if err != nil {
			return nil, fault.WithCode(fmt.Errorf("--manage: %w", err), fault.Usage)
		}
		areas = append(areas, area)
	}
	return areas, nil
}

// trustNew returns the SSH key of a new host: the one that the operator says is its key, or
// that it made in the place of the one that cloud-init gave it.
func trustNew(ctx context.Context, g *globals, a *app.App, h fleet.Host, o hostAddOptions) (ssh.PublicKey, error) {
	given, err := a.Servers.Given(h.Name)
	if err != nil {
		return "", err
	}
	if given == "" || o.hostKey != "" {
		key, err := g.trust(ctx, a, h, o.hostKey, "--host-key")
		return key.Key, err
	}
	return a.Servers.Rekey(ctx, h, given, g.progress())
}

// adding has a host added, and prints what comes next.
func adding(ctx context.Context, g *globals, name string, add func(*app.App) (hosts.Addition, error)) error {
	next := ""
	err := g.with(ctx, func(a *app.App) error {
		added, err := add(a)
		if err != nil {
			return err
		}
		if added.InUse != "" {
			terminal.Printf(g.Err, "%s is in use: %s. Salvor puts only its own things there; salvor host take %[1]s docker lets it take care of Docker.\n", name, added.InUse)
		}
		printAreas(g, name, added.Manage)
		if err := printDeployKey(g, name, a.Fleet().Name, added); err != nil {
			return err
		}
		used := slices.ContainsFunc(a.Fleet().Stacks, func(st fleet.Stack) bool { return st.Host == name })
		next = afterAdd(name, added.InUse != "", used)
		return nil
	})
	if err == nil && next != "" && !g.json { // the fleet is closed: what that asks comes before
		terminal.Printf(g.Err, "Next: %s\n", next)
	}
	return err
}

// printAreas says what is Salvor's on a new host from the next apply on, none for one that was declared before.
func printAreas(g *globals, host string, manage fleet.Areas) {
	if len(manage) == 0 {
		return
	}
	keys, closes := "", ""
	if manage.Has(fleet.AreaSSH) {
		keys = ": sshd takes keys only then"
	}
	if !manage.Has(fleet.AreaFirewall) {
		closes = " salvor host take " + host + " firewall closes all ports but SSH and those that you list."
	}
	terminal.Printf(g.Err, "Salvor takes care of %s on %s from the next salvor apply on%s.%s\n", manage, host, keys, closes)
}

// printDeployKey prints the key with which a new host reads the repository, and says who lets
// it in.
func printDeployKey(g *globals, host, fleet string, add hosts.Addition) error {
	reads := slices.Contains(add.Kept.Read, host)
	if add.Unread != nil {
		err := fmt.Errorf("%s can't read the repository yet: %w", host, add.Unread)
		if reads {
			err = add.Unread // about another host
		}
		g.note(err)
		terminal.Printf(g.Err, "hint: %s\n", fault.Hint(err))
	}
	switch {
	case !reads:
		terminal.Printf(g.Err, "%s is part of %s. Let it read the repository: add this as a read-only deploy key at your Git host:\n", host, fleet)
	default:
		terminal.Printf(g.Err, "%s is part of %s, and may read the repository: this is a read-only deploy key of %s:\n", host, fleet, add.Kept.Keeper)
	}
	return g.printOne("git_key", add.GitKey)
}

// afterAdd is what comes next for a host that was added, the deploy key apart: what runs
// there, else a first stack. It is "" for one that has stacks.
func afterAdd(host string, inUse, used bool) string {
	switch {
	case inUse:
		return "salvor adopt " + host + " --observe shows what runs there, and writes nothing"
	case used:
		return ""
	}
	return "put a Compose project below stacks/, name the host in its Compose file (x-salvor: {host: " + host + "}), commit, salvor apply"
}
