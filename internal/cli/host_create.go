package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/cloud"
	"salvor/internal/fault"
	"salvor/internal/hosts"
)

type createOptions struct {
	provider string
	region   string
	kind     string
	image    string
	disk     int
	from     []string
	manage   string
}

func newHostCreate(g *globals) *cobra.Command {
	var o createOptions
	cmd := &cobra.Command{
		Use:   "create NAME --provider aws --type TYPE --from CIDR",
		Short: "Have a cloud make a server, and add it to the fleet",
		Long: "Create shows what will be made, asks, and makes it: an instance with an encrypted disk, a security group that lets SSH in from " +
			"--from alone, a key pair. The server has a host key that Salvor gave it; Salvor waits for exactly that key, has the server make " +
			"another one and pins that. Then the server is added as by host add. If anything fails, what was made is taken away; if Salvor is " +
			"killed, the next run does that, and doctor lists it until then.\nCredentials are those of the AWS command line (~/.aws, SSO, " +
			"environment); Salvor copies them nowhere.",
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return runHostCreate(cmd.Context(), g, args[0], o) },
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.provider, "provider", "", "the `PROVIDER`: aws")
	cmd.Flags().StringVar(&o.kind, "type", "", "the `TYPE` of the server, as the provider calls it: t3.small")
	cmd.Flags().StringVar(&o.region, "region", "", "the provider's `REGION` (default: the one that its own configuration names)")
	cmd.Flags().StringVar(&o.manage, "manage", "", "`AREAS` that Salvor takes care of there, as of host add; with firewall, the host itself lets SSH in from --from alone, too")
	cmd.Flags().StringSliceVar(&o.from, "from", nil, "`CIDR` from which SSH is let in, and nothing else: the address of your computer, as 203.0.113.7/32")
	return cmd
}

// flags are those that say more of a server.
func (o *createOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.image, "image", "", "`OWNER/NAME` of an image, with * for any part; the newest counts (default: Debian 13, published by Debian)")
	cmd.Flags().IntVar(&o.disk, "disk", 0, "`GIB` of the disk (default 20)")
}

// making is what the options ask for.
func (o *createOptions) making(ctx context.Context, a *app.App, host, fromFlag string) (hosts.Making, error) {
	m := hosts.Making{Order: cloud.Order{Host: host, Type: o.kind, Image: o.image, Disk: o.disk}}
	var err error
	switch {
	case o.provider == "":
		err = fault.WithHint(errors.New("--provider is missing"), "--provider aws")
	case o.kind == "":
		err = fault.WithHint(errors.New("--type is missing"), "--type t3.small; aws ec2 describe-instance-types lists them")
	case len(o.from) == 0:
		err = fault.WithHint(errors.New(fromFlag+" is missing: Salvor opens no port to everyone unless you say so"),
			fromFlag+" 203.0.113.7/32 lets that address in; https://checkip.amazonaws.com shows yours")
	case o.disk < 0 || o.disk > mostDisk:
		err = errors.New("--disk is not a size in GiB")
	}
	if err != nil {
		return m, fault.WithCode(err, fault.Usage)
	}
	if m.Order.From, err = cloud.ParseFrom(o.from); err != nil {
		return m, err
	}
	if m.Manage, err = parseAreas(o.manage); err != nil {
		return m, err
	}
	m.Provider, err = app.Cloud(ctx, a, o.provider, o.region)
	return m, err
}

// mostDisk is the largest volume of AWS in GiB.
const mostDisk = 65536

func runHostCreate(ctx context.Context, g *globals, name string, o createOptions) error {
	if err := withSSHKey(ctx, g); err != nil {
		return err
	}
	return adding(ctx, g, name, func(a *app.App) (hosts.Addition, error) {
		m, err := o.making(ctx, a, name, "--from")
		if err != nil {
			return hosts.Addition{}, err
		}
		p, err := a.Servers.PrepareCreate(ctx, m)
		if err != nil {
			return hosts.Addition{}, err
		}
		return accepted(ctx, g, p)
	})
}

// withSSHKey makes the fleet's SSH key where it has none: a new server lets that one in.
func withSSHKey(ctx context.Context, g *globals) error {
	return g.with(ctx, func(a *app.App) error {
		if a.Keys.SSHKey() != "" {
			return nil
		}
		_, err := accepted(ctx, g, a.Keys.PrepareSSHKey())
		return err
	})
}

// parseCreate reads PROVIDER:TYPE[@REGION].
func parseCreate(v string, o *createOptions) error {
	provider, rest, found := strings.Cut(v, ":")
	if !found || provider == "" || rest == "" {
		return fault.WithCode(fault.WithHint(errors.New(v+" is not PROVIDER:TYPE[@REGION]"), "--create aws:t3.small@eu-central-1"), fault.Usage)
	}
	o.provider = provider
	o.kind, o.region, _ = strings.Cut(rest, "@")
	return nil
}
