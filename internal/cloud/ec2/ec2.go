// Package ec2 makes servers at AWS: EC2 instances, each with a security group and a key
// pair of its own. Credentials are found as the AWS SDK finds them (environment,
// ~/.aws, SSO) and copied nowhere. What it calls, and the errors, are in the API reference
// (docs.aws.amazon.com/AWSEC2/latest/APIReference).
package ec2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"salvor/internal/cloud"
	"salvor/internal/fault"
	"salvor/internal/fleet"
)

// Name is how commands and fleet.yaml call this provider.
const Name = "aws"

// The tags of all that is made here.
const (
	fleetTag  = "salvor:fleet"
	hostTag   = "salvor:host"
	serverTag = "salvor:server"
)

// Options say for whom, and where.
type Options struct {
	Fleet string // what no other fleet of the account has, the value of the tag salvor:fleet
	cloud.Site
}

// An EC2 is one region of an account.
type EC2 struct {
	api     calls
	options Options
	region  string
}

var _ cloud.Provider = (*EC2)(nil)

// patience bounds how long anything at AWS may take to happen.
const patience = 5 * time.Minute

// tries bounds how often a call is made that AWS is too busy for, unless the operator's
// configuration does (max_attempts).
const tries = 8

// Configured reads the operator's configuration. A region of "" is the one that it names.
func Configured(ctx context.Context, region string) (aws.Config, error) {
	c, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return c, fmt.Errorf("the configuration of AWS: %w", err)
	}
	if c.Region == "" {
		return c, fault.WithCode(fault.WithHint(errors.New("no region of AWS is named"), "--region eu-central-1 names one, or: aws configure set region eu-central-1"), fault.Usage)
	}
	return c, nil
}

// New returns the region of a configuration.
func New(c aws.Config, o Options) *EC2 {
	o.Poll, o.Port = cmp.Or(o.Poll, 3*time.Second), cmp.Or(o.Port, 22)
	c.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts, s.MaxBackoff = cmp.Or(c.RetryMaxAttempts, tries), 4*o.Poll
		})
	}
	return &EC2{api: callsOf(ec2.NewFromConfig(c)), options: o, region: c.Region}
}

// Place implements cloud.Provider.
func (e *EC2) Place() string { return Name + ":" + e.region }

// tags are those of one part of a server.
func (e *EC2) tags(kind types.ResourceType, host, id string) types.TagSpecification {
	tag := func(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }
	return types.TagSpecification{ResourceType: kind, Tags: []types.Tag{
		tag("Name", host), tag(fleetTag, e.options.Fleet), tag(hostTag, host), tag(serverTag, id),
	}}
}

// tagged is the filter for what has a tag with a value.
func tagged(tag, value string) types.Filter {
	return types.Filter{Name: aws.String("tag:" + tag), Values: []string{value}}
}

// Servers implements cloud.Provider. An instance that is terminated counts as gone.
func (e *EC2) Servers(ctx context.Context) ([]cloud.Server, error) {
	return e.list(ctx, tagged(fleetTag, e.options.Fleet))
}

// list lists what a filter lets through.
func (e *EC2) list(ctx context.Context, ours types.Filter) ([]cloud.Server, error) {
	found := map[string]*cloud.Server{}
	if err := e.instances(ctx, ours, found); err != nil {
		return nil, err
	}
	if err := e.groups(ctx, ours, found); err != nil {
		return nil, err
	}
	pairs, err := e.api.DescribeKeyPairs(ctx, &ec2.DescribeKeyPairsInput{Filters: []types.Filter{ours}})
	if err != nil {
		return nil, e.explain("list key pairs", err)
	}
	for _, k := range pairs.KeyPairs {
		s := e.note(found, k.Tags, cloud.Part{Kind: cloud.KeyPair, ID: aws.ToString(k.KeyPairId)})
		if s.Since.IsZero() {
			s.Since = aws.ToTime(k.CreateTime)
		}
	}
	var all []cloud.Server
	for _, s := range found {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b cloud.Server) int { return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

func (e *EC2) groups(ctx context.Context, ours types.Filter, found map[string]*cloud.Server) error {
	return paged(func(from *string) (*string, error) {
		page, err := e.api.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{ours}, NextToken: from})
		if err != nil {
			return nil, e.explain("list security groups", err)
		}
		for _, g := range page.SecurityGroups {
			e.note(found, g.Tags, cloud.Part{Kind: cloud.Group, ID: aws.ToString(g.GroupId)})
		}
		return page.NextToken, nil
	})
}

func (e *EC2) instances(ctx context.Context, ours types.Filter, found map[string]*cloud.Server) error {
	there := types.Filter{Name: aws.String("instance-state-name"), Values: []string{"pending", "running", "shutting-down", "stopping", "stopped"}}
	return paged(func(from *string) (*string, error) {
		page, err := e.api.DescribeInstances(ctx, &ec2.DescribeInstancesInput{Filters: []types.Filter{ours, there}, NextToken: from})
		if err != nil {
			return nil, e.explain("list instances", err)
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				s := e.note(found, i.Tags, cloud.Part{Kind: cloud.Instance, ID: aws.ToString(i.InstanceId)})
				s.Address, s.Since = aws.ToString(i.PublicIpAddress), aws.ToTime(i.LaunchTime)
			}
		}
		return page.NextToken, nil
	})
}

// note adds a part to the server that its tags name.
func (e *EC2) note(found map[string]*cloud.Server, tags []types.Tag, p cloud.Part) *cloud.Server {
	value := func(key string) string {
		i := slices.IndexFunc(tags, func(t types.Tag) bool { return aws.ToString(t.Key) == key })
		if i < 0 {
			return ""
		}
		return aws.ToString(tags[i].Value)
	}
	id := value(serverTag)
	s := found[id]
	if s == nil {
		s = &cloud.Server{Server: e.server(id), Host: value(hostTag), Port: e.options.Port}
		found[id] = s
	}
	s.Parts = append(s.Parts, p)
	return s
}

func (e *EC2) server(id string) fleet.Server {
	return fleet.Server{Provider: Name, Region: e.region, ID: id}
}

// pause waits until it is worth looking again.
func (e *EC2) pause(ctx context.Context) error {
	timer := time.NewTimer(e.options.Poll)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
