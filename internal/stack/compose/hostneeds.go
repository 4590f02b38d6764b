package compose

import (
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/fleet"
	"salvor/internal/project"
)

// asks returns what each service that starts asks of its host.
func (s started) asks() map[string]project.Asks {
	all := map[string]project.Asks{}
	for name, service := range s.load.project.Services {
		if s.load.active[name] {
			all[name] = asksOf(service)
		}
	}
	return all
}

// awaited are the volumes that Compose refuses to start the stack without: external ones that
// are kept elsewhere, so that Salvor does not make them either.
func (s started) awaited(ms *mounts) []string {
	var names []string
	for _, v := range ms.volumes() {
		starts := slices.ContainsFunc(v.Services, func(name string) bool { return s.load.active[name] })
		if starts && v.Protect == fleet.External && v.Docker != "" && bool(s.load.project.Volumes[v.Name].External) {
			names = append(names, v.Docker)
		}
	}
	slices.Sort(names)
	return names
}

func asksOf(s types.ServiceConfig) project.Asks {
	asks := project.Asks{
		Platform: unmark(s.Platform), Runtime: s.Runtime, CPUs: s.CPUS,
		Memory: int64(s.MemReservation), MemoryLimit: int64(s.MemLimit), Features: features(s),
	}
	for _, d := range s.Devices {
		if path.IsAbs(d.Source) { // others are names that a runtime knows
			asks.Devices = append(asks.Devices, path.Clean(d.Source))
		}
	}
	if s.Deploy == nil {
		return asks
	}
	if r := s.Deploy.Resources.Reservations; r != nil {
		asks.Memory = max(asks.Memory, int64(r.MemoryBytes))
	}
	if l := s.Deploy.Resources.Limits; l != nil {
		asks.MemoryLimit, asks.CPUs = max(asks.MemoryLimit, int64(l.MemoryBytes)), max(asks.CPUs, float32(l.NanoCPUs))
	}
	return asks
}

// kernelCapabilities are those that the oldest kernels with a present Docker do not have.
// Source: capabilities(7).
var kernelCapabilities = map[string]string{"BPF": "5.8", "PERFMON": "5.8", "CHECKPOINT_RESTORE": "5.9"}

// features returns what a service uses that Compose accepts and an older engine refuses
// when the container is made. Source: docker/compose v5.7.1, pkg/compose/create.go, and for
// subpath the Engine API's version 1.45.
func features(s types.ServiceConfig) []project.Feature {
	var all []project.Feature
	add := func(used bool, name string, of project.Provider, since string) {
		if used {
			all = append(all, project.Feature{Name: name, Of: of, Since: since})
		}
	}
	add(s.HealthCheck != nil && s.HealthCheck.StartInterval != nil, "healthcheck.start_interval", project.Engine, "25.0")
	for _, v := range s.Volumes {
		add(v.Volume != nil && v.Volume.Subpath != "", "volume.subpath", project.Engine, "26.0")
		add(v.Type == types.VolumeTypeImage, "a mount of type image", project.Engine, "28.0")
	}
	for _, n := range s.Networks {
		add(n != nil && n.InterfaceName != "", "networks.interface_name", project.Engine, "28.1")
	}
	for _, c := range s.CapAdd {
		since, newer := kernelCapabilities[strings.TrimPrefix(strings.ToUpper(c), "CAP_")]
		add(newer, "cap_add: "+c, project.Kernel, since)
	}
	return all
}
