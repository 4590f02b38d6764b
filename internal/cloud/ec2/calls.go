package ec2

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// A call is one of the API's.
type call[I, O any] func(context.Context, *I, ...func(*ec2.Options)) (*O, error)

// calls are those that are made. The SDK's client itself is in no type that becomes an
// interface, nor its paginators: the linker would keep all of its 700 methods, 30 MB.
type calls struct {
	AuthorizeSecurityGroupIngress call[ec2.AuthorizeSecurityGroupIngressInput, ec2.AuthorizeSecurityGroupIngressOutput]
	CreateSecurityGroup           call[ec2.CreateSecurityGroupInput, ec2.CreateSecurityGroupOutput]
	DeleteKeyPair                 call[ec2.DeleteKeyPairInput, ec2.DeleteKeyPairOutput]
	DeleteSecurityGroup           call[ec2.DeleteSecurityGroupInput, ec2.DeleteSecurityGroupOutput]
	DescribeImages                call[ec2.DescribeImagesInput, ec2.DescribeImagesOutput]
	DescribeInstances             call[ec2.DescribeInstancesInput, ec2.DescribeInstancesOutput]
	DescribeInstanceTypes         call[ec2.DescribeInstanceTypesInput, ec2.DescribeInstanceTypesOutput]
	DescribeKeyPairs              call[ec2.DescribeKeyPairsInput, ec2.DescribeKeyPairsOutput]
	DescribeSecurityGroups        call[ec2.DescribeSecurityGroupsInput, ec2.DescribeSecurityGroupsOutput]
	DescribeVpcs                  call[ec2.DescribeVpcsInput, ec2.DescribeVpcsOutput]
	ImportKeyPair                 call[ec2.ImportKeyPairInput, ec2.ImportKeyPairOutput]
	RunInstances                  call[ec2.RunInstancesInput, ec2.RunInstancesOutput]
	TerminateInstances            call[ec2.TerminateInstancesInput, ec2.TerminateInstancesOutput]
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
