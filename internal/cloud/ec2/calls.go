package ec2

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// calls are those that are made. The SDK's client itself is in no type that becomes an
// interface, nor its paginators: the linker would keep all of its 700 methods, 30 MB.
type calls struct {
	AuthorizeSecurityGroupIngress func(context.Context, *ec2.AuthorizeSecurityGroupIngressInput, ...func(*ec2.Options)) (*ec2.AuthorizeSecurityGroupIngressOutput, error)
	CreateSecurityGroup           func(context.Context, *ec2.CreateSecurityGroupInput, ...func(*ec2.Options)) (*ec2.CreateSecurityGroupOutput, error)
	DeleteKeyPair                 func(context.Context, *ec2.DeleteKeyPairInput, ...func(*ec2.Options)) (*ec2.DeleteKeyPairOutput, error)
	DeleteSecurityGroup           func(context.Context, *ec2.DeleteSecurityGroupInput, ...func(*ec2.Options)) (*ec2.DeleteSecurityGroupOutput, error)
	DescribeImages                func(context.Context, *ec2.DescribeImagesInput, ...func(*ec2.Options)) (*ec2.DescribeImagesOutput, error)
	DescribeInstances             func(context.Context, *ec2.DescribeInstancesInput, ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error)
	DescribeInstanceTypes         func(context.Context, *ec2.DescribeInstanceTypesInput, ...func(*ec2.Options)) (*ec2.DescribeInstanceTypesOutput, error)
	DescribeKeyPairs              func(context.Context, *ec2.DescribeKeyPairsInput, ...func(*ec2.Options)) (*ec2.DescribeKeyPairsOutput, error)
	DescribeSecurityGroups        func(context.Context, *ec2.DescribeSecurityGroupsInput, ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupsOutput, error)
	DescribeVpcs                  func(context.Context, *ec2.DescribeVpcsInput, ...func(*ec2.Options)) (*ec2.DescribeVpcsOutput, error)
	ImportKeyPair                 func(context.Context, *ec2.ImportKeyPairInput, ...func(*ec2.Options)) (*ec2.ImportKeyPairOutput, error)
	RunInstances                  func(context.Context, *ec2.RunInstancesInput, ...func(*ec2.Options)) (*ec2.RunInstancesOutput, error)
	TerminateInstances            func(context.Context, *ec2.TerminateInstancesInput, ...func(*ec2.Options)) (*ec2.TerminateInstancesOutput, error)
}

func callsOf(c *ec2.Client) calls {
	return calls{
		AuthorizeSecurityGroupIngress: c.AuthorizeSecurityGroupIngress,
		CreateSecurityGroup:           c.CreateSecurityGroup,
		DeleteKeyPair:                 c.DeleteKeyPair,
		DeleteSecurityGroup:           c.DeleteSecurityGroup,
		DescribeImages:                c.DescribeImages,
		DescribeInstances:             c.DescribeInstances,
		DescribeInstanceTypes:         c.DescribeInstanceTypes,
		DescribeKeyPairs:              c.DescribeKeyPairs,
		DescribeSecurityGroups:        c.DescribeSecurityGroups,
		DescribeVpcs:                  c.DescribeVpcs,
		ImportKeyPair:                 c.ImportKeyPair,
		RunInstances:                  c.RunInstances,
		TerminateInstances:            c.TerminateInstances,
	}
}

// paged makes a call for one page after the other: it gets where a page begins, nil for the
// first, and returns where the next one does.
func paged(page func(from *string) (next *string, err error)) error {
	for from := (*string)(nil); ; {
		next, err := page(from)
		if err != nil || next == nil || *next == "" {
			return err
		}
		from = next
	}
}
