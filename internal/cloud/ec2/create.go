package ec2

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"salvor/internal/cloud"
	"salvor/internal/terminal"
)

// create makes a key pair, a security group and an instance, in this order, and waits for
// the instance's address. What it made is in the server also where it fails.
func (e *EC2) create(ctx context.Context, o order, id string, seed cloud.Seed) (cloud.Server, error) {
	s := cloud.Server{Server: e.server(id), Host: o.Host, Port: e.options.Port}
	name := fmt.Sprintf("salvor-%s-%s-%s", e.options.Fleet, o.Host, id)
	pair, err := e.api.ImportKeyPair(ctx, &ec2.ImportKeyPairInput{
		KeyName: &name, PublicKeyMaterial: []byte(seed.Line), TagSpecifications: []types.TagSpecification{e.tags(types.ResourceTypeKeyPair, o.Host, id)},
	})
	if err != nil {
		return s, e.explain("import the fleet's key", err)
	}
	s.Parts = append(s.Parts, cloud.Part{Kind: cloud.KeyPair, ID: aws.ToString(pair.KeyPairId)})
	group, err := e.api.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
		GroupName: &name, Description: aws.String("SSH to " + o.Host + ", made by Salvor"), VpcId: &o.vpc,
		TagSpecifications: []types.TagSpecification{e.tags(types.ResourceTypeSecurityGroup, o.Host, id)},
	})
	if err != nil {
		return s, e.explain("make a security group", err)
	}
	s.Parts = append(s.Parts, cloud.Part{Kind: cloud.Group, ID: aws.ToString(group.GroupId)})
	if err := e.letIn(ctx, o, group.GroupId); err != nil {
		return s, err
	}
	instance, err := e.run(ctx, o, id, name, aws.ToString(group.GroupId), seed)
	if err != nil {
		return s, err
	}
	s.Parts = append(s.Parts, cloud.Part{Kind: cloud.Instance, ID: aws.ToString(instance.InstanceId)})
	s.Since = aws.ToTime(instance.LaunchTime)
	s.Address, err = e.address(ctx, aws.ToString(instance.InstanceId))
	return s, err
}

// letIn opens the port of SSH.
func (e *EC2) letIn(ctx context.Context, o order, group *string) error {
	rule := types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(22), ToPort: aws.Int32(22)}
	for _, p := range o.From {
		if p.Addr().Is4() {
			rule.IpRanges = append(rule.IpRanges, types.IpRange{CidrIp: aws.String(p.String())})
		} else {
			rule.Ipv6Ranges = append(rule.Ipv6Ranges, types.Ipv6Range{CidrIpv6: aws.String(p.String())})
		}
	}
	return e.soon(ctx, "let SSH in", func(ctx context.Context) error {
		_, err := e.api.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: group, IpPermissions: []types.IpPermission{rule}})
		if code(err) == "InvalidPermission.Duplicate" { // an answer was lost
			return nil
		}
		return err
	})
}

// run starts the instance. The token makes it one, however often the call is made.
func (e *EC2) run(ctx context.Context, o order, id, name, group string, seed cloud.Seed) (types.Instance, error) {
	data, err := seed.UserData()
	if err != nil {
		return types.Instance{}, err
	}
	in := &ec2.RunInstancesInput{
		ImageId: o.image.ImageId, InstanceType: types.InstanceType(o.Type), MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		ClientToken: &id, KeyName: &name, SecurityGroupIds: []string{group}, UserData: aws.String(base64.StdEncoding.EncodeToString(data.Reveal())),
		MetadataOptions: &types.InstanceMetadataOptionsRequest{
			HttpEndpoint: types.InstanceMetadataEndpointStateEnabled, HttpTokens: types.HttpTokensStateRequired, HttpPutResponseHopLimit: aws.Int32(1),
		},
		BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: o.image.RootDeviceName, Ebs: &types.EbsBlockDevice{
			VolumeSize: aws.Int32(int32(o.Disk)), VolumeType: types.VolumeTypeGp3, Encrypted: aws.Bool(true), DeleteOnTermination: aws.Bool(true),
		}}},
		TagSpecifications: []types.TagSpecification{e.tags(types.ResourceTypeInstance, o.Host, id), e.tags(types.ResourceTypeVolume, o.Host, id)},
	}
	var made types.Instance
	err = e.soon(ctx, "start an instance", func(ctx context.Context) error {
		out, err := e.api.RunInstances(ctx, in)
		if err == nil && len(out.Instances) != 1 {
			return fmt.Errorf("%d instances were started", len(out.Instances))
		}
		if err == nil {
			made = out.Instances[0]
		}
		return err
	})
	return made, err
}

// soon makes a call again while AWS does not know yet what it has just made (eventual
// consistency).
func (e *EC2) soon(ctx context.Context, what string, call func(context.Context) error) error {
	end := time.Now().Add(patience)
	for {
		err := call(ctx)
		if !isNotYet(err) || time.Now().After(end) {
			return e.explain(what, err)
		}
		if err := e.pause(ctx); err != nil {
			return err
		}
	}
}

// address returns the instance's public address, once it runs and has one.
func (e *EC2) address(ctx context.Context, id string) (string, error) {
	end := time.Now().Add(patience)
	for {
		i, err := e.instance(ctx, id)
		if err != nil {
			return "", err
		}
		state := types.InstanceStateNamePending
		if i.State != nil {
			state = i.State.Name
		}
		switch {
		case state == types.InstanceStateNameRunning && aws.ToString(i.PublicIpAddress) != "":
			return *i.PublicIpAddress, nil
		case state == types.InstanceStateNameTerminated || state == types.InstanceStateNameShuttingDown:
			why := "AWS gives no reason"
			if i.StateReason != nil {
				why = terminal.Line(aws.ToString(i.StateReason.Message))
			}
			return "", fmt.Errorf("instance %s ended while it started: %s", id, why)
		case time.Now().After(end):
			return "", fmt.Errorf("instance %s is %s and has no public address after %s: does its subnet assign one?", id, state, patience)
		}
		if err := e.pause(ctx); err != nil {
			return "", err
		}
	}
}

// instance looks at one; the zero value is one that AWS does not list yet, or any more.
func (e *EC2) instance(ctx context.Context, id string) (types.Instance, error) {
	out, err := e.api.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if code(err) == "InvalidInstanceID.NotFound" {
		return types.Instance{}, nil
	}
	if err != nil {
		return types.Instance{}, e.explain("look at instance "+id, err)
	}
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			return i, nil
		}
	}
	return types.Instance{}, nil
}
