package ec2

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"salvor/internal/cloud"
	"salvor/internal/fault"
)

// debian publishes Debian's images (wiki.debian.org/Cloud/AmazonEC2Image).
const debian = "136693071363"

// leastDisk is what Docker and some images need, in GiB.
const leastDisk = 20

// An order is one for which all was found.
type order struct {
	cloud.Order
	image types.Image
	vpc   string
}

// Offer implements cloud.Provider.
func (e *EC2) Offer(ctx context.Context, o cloud.Order) (cloud.Offer, error) {
	arch, err := e.architecture(ctx, o.Type)
	if err != nil {
		return cloud.Offer{}, err
	}
	o.Disk = cmp.Or(o.Disk, leastDisk)
	found := order{Order: o}
	if found.image, err = e.newest(ctx, o.Image, arch); err != nil {
		return cloud.Offer{}, err
	}
	if found.vpc, err = e.defaultVPC(ctx); err != nil {
		return cloud.Offer{}, err
	}
	return cloud.Offer{Lines: found.lines(e.region), Make: func(ctx context.Context, id string, s cloud.Seed) (cloud.Server, error) {
		return e.create(ctx, found, id, s)
	}}, nil
}

// lines say what will be made.
func (o order) lines(region string) []string {
	return []string{
		fmt.Sprintf("instance: %s in %s, image %s (%s of %s), IMDSv2 alone", o.Type, region, aws.ToString(o.image.Name), aws.ToString(o.image.ImageId), aws.ToString(o.image.OwnerId)),
		fmt.Sprintf("volume: %d GiB gp3, encrypted, deleted with the instance", o.Disk),
		"security group: SSH from " + joined(o.From) + ", and nothing else, comes in",
		"key pair: the fleet's public SSH key",
	}
}

func joined(all []netip.Prefix) string {
	var text []string
	for _, p := range all {
		text = append(text, p.String())
	}
	return strings.Join(text, ", ")
}

// architecture is the first that instances of a type have, of those that Salvor runs on.
func (e *EC2) architecture(ctx context.Context, kind string) (types.ArchitectureType, error) {
	out, err := e.api.DescribeInstanceTypes(ctx, &ec2.DescribeInstanceTypesInput{InstanceTypes: []types.InstanceType{types.InstanceType(kind)}})
	if err != nil {
		return "", e.explain("look up type "+kind, err)
	}
	for _, t := range out.InstanceTypes {
		if t.ProcessorInfo == nil {
			continue
		}
		for _, a := range t.ProcessorInfo.SupportedArchitectures {
			if a == types.ArchitectureTypeX8664 || a == types.ArchitectureTypeArm64 {
				return a, nil
			}
		}
	}
	return "", fmt.Errorf("instances of type %s have neither an amd64 nor an arm64 processor", kind)
}

// newest returns the newest image that an owner publishes under a name.
func (e *EC2) newest(ctx context.Context, named string, arch types.ArchitectureType) (types.Image, error) {
	short := map[types.ArchitectureType]string{types.ArchitectureTypeX8664: "amd64", types.ArchitectureTypeArm64: "arm64"}[arch]
	named = cmp.Or(named, debian+"/debian-13-"+short+"-*")
	owner, name, found := strings.Cut(named, "/")
	if !found || owner == "" || name == "" {
		return types.Image{}, fault.WithCode(fmt.Errorf("%q is not an image: write it as OWNER/NAME, like %s/debian-13-%s-*", named, debian, short), fault.Usage)
	}
	filter := func(name string, values ...string) types.Filter {
		return types.Filter{Name: aws.String(name), Values: values}
	}
	filters := []types.Filter{
		filter("name", name), filter("architecture", string(arch)), filter("state", "available"), filter("root-device-type", "ebs"), filter("virtualization-type", "hvm"),
	}
	var best types.Image
	err := paged(func(from *string) (*string, error) {
		page, err := e.api.DescribeImages(ctx, &ec2.DescribeImagesInput{Owners: []string{owner}, Filters: filters, NextToken: from})
		if err != nil {
			return nil, e.explain("look for an image", err)
		}
		for _, i := range page.Images { // the dates are of one form (ISO 8601, UTC)
			if aws.ToString(i.CreationDate) > aws.ToString(best.CreationDate) {
				best = i
			}
		}
		return page.NextToken, nil
	})
	if err != nil {
		return best, err
	}
	if best.ImageId == nil {
		return best, fault.WithHint(fmt.Errorf("%s has no image %s for %s in %s", owner, name, short, e.region), "--image OWNER/NAME names another one")
	}
	return best, nil
}

// defaultVPC is the network that instances are put into.
func (e *EC2) defaultVPC(ctx context.Context) (string, error) {
	out, err := e.api.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: []types.Filter{{Name: aws.String("is-default"), Values: []string{"true"}}}})
	if err != nil {
		return "", e.explain("look for the default VPC", err)
	}
	if len(out.Vpcs) == 0 {
		return "", e.noVPC(fmt.Errorf("%s has no default VPC", e.region))
	}
	return aws.ToString(out.Vpcs[0].VpcId), nil
}

func (e *EC2) noVPC(err error) error {
	return fault.WithHint(err, "aws ec2 create-default-vpc --region "+e.region+" makes one; or name another --region")
}
