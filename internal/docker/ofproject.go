package docker

import (
	"context"
	"encoding/json"
	"fmt"
)

const (
	networkLabel = "com.docker.compose.network"
	volumeLabel  = "com.docker.compose.volume"
)

// A Network is one that a Compose project made, as it was made.
type Network struct {
	Name, Driver    string
	Internal        bool
	EnableIPv6      bool
	Options, Labels map[string]string
	IPAM            struct{ Config []Subnet }
}

// A Subnet is one of a network's address ranges.
type Subnet struct{ Subnet, Gateway, IPRange string }

// Key is what the Compose file of its project calls it.
func (n Network) Key() string { return n.Labels[networkLabel] }

// NetworksOf returns the networks that a Compose project made, by name.
func (e *Engine) NetworksOf(ctx context.Context, project string) (map[string]Network, error) {
	answer, err := e.get(ctx, "/networks")
	if err != nil {
		return nil, err
	}
	var in []Network
	if err := json.Unmarshal(answer, &in); err != nil {
		return nil, fmt.Errorf("read the Docker engine's networks: %w", err)
	}
	own := map[string]Network{}
	for _, n := range in {
		if n.Labels[projectLabel] == project && n.Key() != "" {
			own[n.Name] = n
		}
	}
	return own, nil
}

// A Volume is one that a Compose project made, as it was made.
type Volume struct {
	Name, Driver    string
	Options, Labels map[string]string
}

// Key is what the Compose file of its project calls it.
func (v Volume) Key() string { return v.Labels[volumeLabel] }

// VolumesOf returns the volumes that a Compose project made, by name.
func (e *Engine) VolumesOf(ctx context.Context, project string) (map[string]Volume, error) {
	answer, err := e.get(ctx, "/volumes")
	if err != nil {
		return nil, err
	}
	var in struct{ Volumes []Volume }
	if err := json.Unmarshal(answer, &in); err != nil {
		return nil, fmt.Errorf("read the Docker engine's volumes: %w", err)
	}
	own := map[string]Volume{}
	for _, v := range in.Volumes {
		if v.Labels[projectLabel] == project && v.Key() != "" {
			own[v.Name] = v
		}
	}
	return own, nil
}
