package app

import (
	"context"
	"fmt"

	"salvor/internal/cloud"
	"salvor/internal/cloud/ec2"
	"salvor/internal/fault"
)

// Cloud returns a provider of servers in a region, "" for the one that its own configuration
// names. What it makes bears the fleet's name and the beginning of the repository's first
// commit: another fleet of that name, in the same account, is another one.
func Cloud(ctx context.Context, a *App, provider, region string) (cloud.Provider, error) {
	if provider != ec2.Name {
		return nil, fault.WithCode(fault.WithHint(fmt.Errorf("%q is not a provider that Salvor knows: %s is the one", provider, ec2.Name),
			"salvor host cloud-init NAME prints user-data for servers of all others"), fault.Usage)
	}
	first, err := a.Checkout.Git.First(ctx)
	if err != nil {
		return nil, err
	}
	config, err := ec2.Configured(ctx, region)
	if err != nil {
		return nil, err
	}
	return ec2.New(config, ec2.Options{Fleet: a.Fleet().Name + "-" + string(first)[:firstLength], Site: a.opts.Cloud}), nil
}

// firstLength is how much of a commit's id tells two fleets of one name apart.
const firstLength = 12
