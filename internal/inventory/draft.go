package inventory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/docker"
	"salvor/internal/yamldoc"
)

// gone says why a project has no Compose file on the host, "" where it has one, or may have.
func (h Host) gone(p agentapi.RunningProject, places []place) string {
	if p.Dir == "" || len(p.Compose) == 0 {
		return "its containers do not say from which files they were made"
	}
	for _, file := range p.Compose {
		if !path.IsAbs(file) {
			file = path.Join(p.Dir, file)
		}
		if h.there(path.Clean(file), places) {
			return ""
		}
	}
	switch {
	case path.Base(p.Compose[0]) == "-":
		return "its Compose file came through a pipe (docker compose -f -), so the host has none"
	case !h.there(path.Clean(p.Dir), places):
		return p.Dir + " is not there"
	}
	return p.Compose[0] + " is not there"
}

// there reports whether the host has a path, or a manager's container has it by that name.
func (h Host) there(at string, places []place) bool {
	_, err := os.Lstat(h.Root + at)
	for _, p := range places {
		if rel, below := strings.CutPrefix(at, p.target+"/"); below && err != nil {
			_, err = os.Lstat(path.Join(h.Root, p.source, rel))
		}
	}
	return err == nil
}

// draft makes a project's Compose file of its containers, and an env file for each service,
// since any of its variables may be a secret. It says why it has to.
func (h Host) draft(ctx context.Context, p *agentapi.RunningProject, why string, containers []docker.Listed) error {
	d := newDrafting(h, p.Name)
	var err error
	if d.ownVolumes, err = h.Engine.VolumesOf(ctx, p.Name); err != nil {
		return err
	}
	if d.ownNetworks, err = h.Engine.NetworksOf(ctx, p.Name); err != nil {
		return err
	}
	for _, c := range containers {
		if c.OneOff {
			continue
		}
		if !serviceName.MatchString(c.Service) {
			p.Incomplete = fmt.Sprintf("%s, and container %s is labelled with a service that Compose could not have made", why, c.Name)
			return nil
		}
		d.ids[c.ID] = c.Service
		if n := len(d.made); n > 0 && d.made[n-1].Service == c.Service {
			d.made[n-1].count++
			continue
		}
		made, image, err := h.Engine.Made(ctx, c.ID)
		if errors.Is(err, docker.ErrNoSuch) {
			p.Incomplete = why + ", and container " + c.Name + " went away while it was read"
			return nil
		}
		if err != nil {
			return err
		}
		d.made = append(d.made, inspected{c, made, image, 1})
	}
	content, env, err := d.write()
	if err != nil {
		return err
	}
	p.Incomplete, p.Draft, p.Unknown = why, true, d.unknown
	dir := strings.TrimSuffix(p.Dir, "/")
	p.Compose, p.EnvFiles = []string{dir + "/compose.yaml"}, nil
	p.Files = []agentapi.FoundFile{{Path: p.Compose[0], Kind: agentapi.FileCompose, Mode: 0o644, Content: content}}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		p.Files = append(p.Files, agentapi.FoundFile{Path: dir + "/" + name, Kind: agentapi.FileEnv, Mode: 0o644, Content: env[name]})
	}
	return nil
}

// serviceName is of the names that Compose takes for a service.
var serviceName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// inspected is a service's first container, by name, and how many it has.
type inspected struct {
	docker.Listed
	made  docker.Made
	image docker.Config // what its image gives; nothing where that is gone
	count int
}

// drafting is a draft that is being made.
type drafting struct {
	host        Host
	project     string
	made        []inspected       // by service
	ids         map[string]string // services by container
	ownVolumes  map[string]docker.Volume
	ownNetworks map[string]docker.Network

	volumes  map[string]string // that are mounted: what they are called, by Docker's name
	networks map[string]string // that services are in, likewise
	static   map[string]bool   // those of networks in which a container has an address of its own
	unknown  []string          // what could not be found out
}

func newDrafting(h Host, project string) *drafting {
	return &drafting{host: h, project: project, ids: map[string]string{}, volumes: map[string]string{}, networks: map[string]string{}, static: map[string]bool{}}
}

func (d *drafting) lacks(format string, args ...any) {
	d.unknown = append(d.unknown, fmt.Sprintf(format, args...))
}

// write returns the Compose file and the env files by their paths.
func (d *drafting) write() (content []byte, env map[string][]byte, err error) {
	root, services := newMapping(), newMapping()
	env = map[string][]byte{}
	for _, c := range d.made {
		services.entry(c.Service, d.service(c, env))
	}
	root.entry("services", services)
	root.entry("networks", d.networkDeclarations())
	root.entry("volumes", d.volumeDeclarations())
	content, err = yamldoc.Encode(root.Node)
	return content, env, err
}

// called returns what the draft calls a volume or network: what its project did, else
// a name that no other has.
func called(all map[string]string, name, wanted string) string {
	if key, known := all[name]; known {
		return key
	}
	taken := slices.Collect(maps.Values(all))
	key := wanted
	for n := 2; slices.Contains(taken, key); n++ {
		key = fmt.Sprintf("%s-%d", wanted, n)
	}
	all[name] = key
	return key
}

// volumeDeclarations has the volumes by Docker's names, so that containers that are made
// again have the same data. One that the project did not make is external.
func (d *drafting) volumeDeclarations() mapping {
	all := newMapping()
	for _, name := range byKey(d.volumes) {
		one, own := newMapping(), d.ownVolumes[name]
		key := d.volumes[name]
		if name != d.project+"_"+key {
			one.text("name", name)
		}
		if own.Key() != "" {
			if own.Driver != "local" {
				one.text("driver", own.Driver)
			}
			one.pairs("driver_opts", own.Options)
		} else if !docker.Anonymous(name) {
			one.truth("external", true)
		}
		all.entry(key, one)
	}
	return all
}

// byKey returns the names of volumes or networks in the order of what they are called.
func byKey(all map[string]string) []string {
	names := slices.Collect(maps.Keys(all))
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(all[a], all[b]) })
	return names
}

// networkDeclarations has the networks that are not the project's default as Compose makes it.
func (d *drafting) networkDeclarations() mapping {
	all := newMapping()
	for _, name := range byKey(d.networks) {
		key, one := d.networks[name], newMapping()
		own, made := d.ownNetworks[name]
		if name != d.project+"_"+key {
			one.text("name", name)
		}
		if !made && name != d.project+"_"+key {
			one.truth("external", true)
		}
		if own.Driver != "bridge" {
			one.text("driver", own.Driver)
		}
		one.pairs("driver_opts", own.Options)
		one.truth("internal", own.Internal)
		one.truth("enable_ipv6", own.EnableIPv6)
		if d.static[name] || own.EnableIPv6 || own.Driver == "macvlan" || own.Driver == "ipvlan" {
			one.entry("ipam", addresses(own))
		}
		if key != "default" || len(one.Content) > 0 {
			all.entry(key, one)
		}
	}
	return all
}

func addresses(n docker.Network) mapping {
	ipam := newMapping()
	var subnets []*yamldoc.Node
	for _, s := range n.IPAM.Config {
		one := newMapping()
		one.text("subnet", s.Subnet)
		one.text("gateway", s.Gateway)
		one.text("ip_range", s.IPRange)
		subnets = append(subnets, one.Node)
	}
	if len(subnets) > 0 {
		ipam.entry("config", mapping{yamldoc.NewList(subnets...)})
	}
	return ipam
}
