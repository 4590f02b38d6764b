package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Config is what an image gives its containers, or what a container was made with.
type Config struct {
	Image           string // by which a container was made, as it was written
	Hostname        string
	User            string
	WorkingDir      string
	Env             []string
	Cmd, Entrypoint []string
	Labels          map[string]string
	Healthcheck     Healthcheck
	StopSignal      string
	StopTimeout     int // seconds, 0 for the engine's own
	Tty, OpenStdin  bool
}

// A Healthcheck is how the engine asks a container whether it is healthy; 0 is the engine's own.
type Healthcheck struct {
	Test                           []string
	Interval, Timeout, StartPeriod time.Duration
	Retries                        int
}

// Made is what a container was made with, as the engine keeps it.
type Made struct {
	Image           string // its id
	Config          Config
	HostConfig      HostConfig
	Mounts          []Mounted
	NetworkSettings struct{ Networks map[string]Endpoint }
}

// HostConfig is what a container was given of its host.
type HostConfig struct {
	NetworkMode                                    string
	PortBindings                                   map[string][]Binding // by "80/tcp"
	RestartPolicy                                  RestartPolicy
	Privileged, ReadonlyRootfs                     bool
	Init                                           *bool
	CapAdd, CapDrop, GroupAdd                      []string
	Tmpfs                                          map[string]string
	Devices                                        []Device
	DeviceRequests                                 []struct{ Driver string }
	DeviceCgroupRules, SecurityOpt                 []string
	ExtraHosts                                     []string // "name:address"
	DNS, DNSSearch, DNSOptions                     []string
	Sysctls                                        map[string]string
	Ulimits                                        []Ulimit
	ShmSize, Memory, MemoryReservation, MemorySwap int64 // bytes
	NanoCPUs, CPUShares                            int64
	CPUsetCPUs                                     string
	PidsLimit                                      *int64
	OomScoreAdj                                    int
	PidMode, IpcMode, UTSMode, UsernsMode, Runtime string
	LogConfig                                      struct {
		Type   string
		Config map[string]string
	}
	VolumesFrom, Links []string
}

// A Device is one of the host's that a container has.
type Device struct{ PathOnHost, PathInContainer, CgroupPermissions string }

// A Ulimit is a limit of a container's processes.
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

// An Endpoint is how a container is in a network.
type Endpoint struct {
	Aliases    []string
	IPAMConfig *struct{ IPv4Address, IPv6Address string } // addresses that were asked for
}

// A Binding is a port of the host that leads to a container's.
type Binding struct{ HostIP, HostPort string }

// RestartPolicy says when the engine starts a container again.
type RestartPolicy struct {
	Name              string
	MaximumRetryCount int
}

// Written is the policy as a Compose file has it.
func (r RestartPolicy) Written() string {
	if r.MaximumRetryCount > 0 {
		return fmt.Sprintf("%s:%d", r.Name, r.MaximumRetryCount)
	}
	return cmp.Or(r.Name, "no")
}

// Mounted is what a container has at a path.
type Mounted struct {
	Type, Name, Source, Destination, Propagation string
	RW                                           bool
}

// Anonymous reports whether it is a volume whose name the engine made up.
func (m Mounted) Anonymous() bool { return m.Type == "volume" && Anonymous(m.Name) }

// A Need is a service that another one waits for.
type Need struct {
	Service, Condition string
	Restart            bool // it restarts with that one
}

// Needs returns what a container's service waits for, as Compose noted it.
func (m Made) Needs() []Need {
	var all []Need
	for _, entry := range commaList(m.Config.Labels[needsLabel]) {
		service, how, _ := strings.Cut(entry, ":")
		condition, restart, _ := strings.Cut(how, ":")
		all = append(all, Need{service, condition, restart == "true"})
	}
	return all
}

// Made returns what a container was made with, and what its image gave for it; an error
// wraps ErrNoSuch when the container is gone. An image that is gone gave nothing.
func (e *Engine) Made(ctx context.Context, id string) (Made, Config, error) {
	var made Made
	answer, err := e.get(ctx, "/containers/"+id+"/json")
	if err == nil {
		err = json.Unmarshal(answer, &made)
	}
	if err != nil {
		return made, Config{}, fmt.Errorf("read the Docker engine's container: %w", err)
	}
	var image struct{ Config Config }
	answer, err = e.get(ctx, "/images/"+made.Image+"/json")
	if errors.Is(err, ErrNoSuch) {
		return made, Config{}, nil
	}
	if err == nil {
		err = json.Unmarshal(answer, &image)
	}
	if err != nil {
		return made, Config{}, fmt.Errorf("read the Docker engine's image: %w", err)
	}
	return made, image.Config, nil
}
