package ec2

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"salvor/internal/cloud"
)

// Remove implements cloud.Provider. It takes away what the server is known to have and what
// bears its tag: what has just been made may not be listed yet.
func (e *EC2) Remove(ctx context.Context, s cloud.Server) error {
	all, err := e.list(ctx, tagged(serverTag, s.ID)) // whatever the fleet is called now
	if err != nil {
		return err
	}
	for _, found := range all {
		s.Parts = slices.Concat(s.Parts, found.Parts)
	}
	ids := func(k cloud.Kind) []string { return slices.Compact(slices.Sorted(slices.Values(s.Of(k)))) }
	if err := e.terminate(ctx, ids(cloud.Instance)); err != nil {
		return err
	}
	for _, id := range ids(cloud.Group) {
		if err := e.removeGroup(ctx, id); err != nil {
			return err
		}
	}
	for _, id := range ids(cloud.KeyPair) {
		_, err := e.api.DeleteKeyPair(ctx, &ec2.DeleteKeyPairInput{KeyPairId: &id})
		if err != nil && code(err) != "InvalidKeyPair.NotFound" {
			return e.explain("remove key pair "+id, err)
		}
	}
	return nil
}

// terminate ends instances and waits until they are gone: their group is in use until then.
func (e *EC2) terminate(ctx context.Context, ids []string) error {
	end := time.Now().Add(patience)
	for _, id := range ids {
		if err := e.terminateOne(ctx, id); err != nil {
			return err
		}
		for {
			i, err := e.instance(ctx, id)
			if err != nil {
				return err
			}
			if i.State == nil || i.State.Name == types.InstanceStateNameTerminated {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("instance %s is still %s after %s", id, i.State.Name, patience)
			}
			if err := e.pause(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// unlisted is how often an instance is asked for that AWS does not know: one that has just
// been started is not listed everywhere yet.
const unlisted = 5

func (e *EC2) terminateOne(ctx context.Context, id string) error {
	for range unlisted {
		_, err := e.api.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
		if code(err) != "InvalidInstanceID.NotFound" {
			return e.explain("terminate instance "+id, err)
		}
		if err := e.pause(ctx); err != nil {
			return err
		}
	}
	return nil
}

// removeGroup waits until nothing uses the group: an instance's network interface outlives
// it for a moment.
func (e *EC2) removeGroup(ctx context.Context, id string) error {
	end := time.Now().Add(patience)
	for {
		_, err := e.api.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: aws.String(id)})
		switch {
		case code(err) == "InvalidGroup.NotFound":
			return nil
		case code(err) != "DependencyViolation" || time.Now().After(end):
			return e.explain("remove security group "+id, err)
		}
		if err := e.pause(ctx); err != nil {
			return err
		}
	}
}
