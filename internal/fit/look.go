package fit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/project"
	"salvor/internal/terminal"
)

// copies is how often restored data is on the disk: while a volume is replaced, what was
// there before is kept, and a dump is loaded next to its file.
const copies = 2

// look compares one stack with what is left of a host.
type look struct {
	room room
	st   Stack
}

func (l look) all() []Misfit {
	return slices.Concat(l.refused(), l.platforms(), l.engine(), l.processors(), l.devices(), l.ports(), l.names(), l.networks(), l.volumes(), l.memory(), l.space())
}

// refused are the reasons that the host itself found.
func (l look) refused() []Misfit {
	return slices.DeleteFunc(slices.Clone(l.room.Refuses), func(m Misfit) bool { return m.Stack != l.st.Name })
}

func (l look) misfit(fix, format string, args ...any) Misfit {
	return Misfit{Stack: l.st.Name, Text: fmt.Sprintf(format, args...), Fix: fix, Severity: finding.Fatal}
}

// each returns what is wrong with the services that start, in order.
func (l look) each(of func(service string, asks project.Asks) []Misfit) []Misfit {
	var found []Misfit
	for _, name := range slices.Sorted(maps.Keys(l.st.Asks)) {
		found = append(found, of(name, l.st.Asks[name])...)
	}
	return found
}

func (l look) platforms() []Misfit {
	return l.each(func(service string, asks project.Asks) []Misfit {
		if asks.Platform == "" {
			return l.offered(service, l.images()[service])
		}
		if runs(asks.Platform, l.room.Arch, l.room.Report.Emulated) {
			return nil
		}
		return []Misfit{l.misfit("remove platform: if the image is there for linux/"+l.room.Arch,
			"%s is for %s, and the host is linux/%s", service, asks.Platform, l.room.Arch)}
	})
}

// images are the images of a stack's services, by service.
func (l look) images() map[string]string {
	all := map[string]string{}
	for _, s := range l.st.Project.Services {
		all[s.Name] = s.Image
	}
	return all
}

// offered compares an image with what its registry has of it, as far as the host asked.
func (l look) offered(service, image string) []Misfit {
	i := slices.IndexFunc(l.room.Report.Images, func(o agentapi.ImageOffer) bool { return o.Image == image })
	if i < 0 {
		return nil
	}
	o := l.room.Report.Images[i]
	if o.Unknown != "" {
		m := l.misfit("salvor plan asks again", "it is not known for which processors the image of %s is there: %s", service, o.Unknown)
		m.Severity = finding.Warning
		return []Misfit{m}
	}
	if slices.ContainsFunc(o.Platforms, func(p string) bool { return runs(p, l.room.Arch, l.room.Report.Emulated) }) {
		return nil
	}
	return []Misfit{l.misfit("choose an image that is there for linux/"+l.room.Arch,
		"the image of %s is there for %s, and the host is linux/%s", service, strings.Join(o.Platforms, ", "), l.room.Arch)}
}

// engine looks at what the Docker engine and the kernel have to know.
func (l look) engine() []Misfit {
	engine := l.room.Report.Engine
	versions := map[project.Provider]string{project.Kernel: l.room.Report.Kernel}
	if engine != nil {
		versions[project.Engine] = engine.Version
	}
	return l.each(func(service string, asks project.Asks) []Misfit {
		var found []Misfit
		if engine != nil && engine.Version != "" && !hasRuntime(engine.Runtimes, asks.Runtime) {
			found = append(found, l.misfit("install that runtime there", "%s has runtime: %s, which the engine there does not have", service, asks.Runtime))
		}
		for _, f := range asks.Features {
			if has := versions[f.Of]; older(has, f.Since) {
				found = append(found, l.misfit(fmt.Sprintf("install a newer %s there, or remove it", f.Of), "%s has %s, which needs %s %s; %s is there", service, f.Name, f.Of, f.Since, has))
			}
		}
		return found
	})
}

// hasRuntime reports whether an engine may know a runtime, "" for its own. One that is named
// by its program, "io.containerd.kata.v2" or a path, need not be configured.
func hasRuntime(all []string, name string) bool {
	return name == "" || strings.ContainsAny(name, "./") || slices.Contains(all, name)
}

// processors looks at limits: an engine refuses more processors than its host has.
func (l look) processors() []Misfit {
	has := l.room.Report.CPUs
	return l.each(func(service string, asks project.Asks) []Misfit {
		if has == 0 || asks.CPUs <= float32(has) {
			return nil
		}
		return []Misfit{l.misfit(fmt.Sprintf("cpus: %d or less", has), "%s has cpus: %g, and the host has %d", service, asks.CPUs, has)}
	})
}

func (l look) devices() []Misfit {
	return l.each(func(service string, asks project.Asks) []Misfit {
		var found []Misfit
		for _, path := range asks.Devices {
			if !slices.Contains(l.room.Report.Devices, path) {
				found = append(found, l.misfit("attach the device there, or load its driver", "%s uses the device %s, which is not there", service, path))
			}
		}
		return found
	})
}

func (l look) ports() []Misfit {
	var found []Misfit
	for _, p := range l.st.Published {
		taken, known := p.OnHost()
		if !known {
			continue
		}
		if port, by, declared := l.room.taker(taken); port != 0 {
			m := l.misfit("stop it there, or publish another port", "port %s is taken there by %s", named(port, taken.Protocol), by)
			if declared {
				m.Fix = "publish another port"
			}
			found = append(found, m)
		}
	}
	return found
}

func named(port int, protocol string) string {
	if protocol == "tcp" {
		return fmt.Sprint(port)
	}
	return fmt.Sprintf("%d/%s", port, protocol)
}

// taker returns the first port of a range that is taken, and by whom; declared says that
// it is a stack which is placed there.
func (r room) taker(p project.HostPort) (port int, by string, declared bool) {
	for _, has := range r.Report.Listeners {
		if port := p.Common(has.HostPort); port != 0 {
			return port, cmp.Or(has.Program, "a program outside of containers"), false
		}
	}
	for _, c := range r.foreign() {
		for _, has := range c.Ports {
			if port := p.Common(has); port != 0 && !r.leaves(c) {
				return port, owner(c), false
			}
		}
	}
	for _, st := range r.stacks {
		if port, service := st.publishes(p); port != 0 {
			return port, fmt.Sprintf("%s of stack %s", service, st.Name), true
		}
	}
	return 0, "", false
}

// publishes returns the first port of a range that one of a stack's services publishes.
func (s Stack) publishes(p project.HostPort) (port int, service string) {
	for _, other := range s.Published {
		has, known := other.OnHost()
		if port := p.Common(has); known && port != 0 {
			return port, other.Service
		}
	}
	return 0, ""
}

func (l look) names() []Misfit {
	var found []Misfit
	for _, c := range l.st.Containers {
		if by, declared := l.room.named(c.Name); by != "" {
			m := l.misfit("remove it there, or remove container_name: "+c.Name, "the container name %s is taken there by %s", c.Name, by)
			if declared {
				m.Fix = "remove container_name: " + c.Name
			}
			found = append(found, m)
		}
	}
	return found
}

// named returns who has a container of that name. One that is stopped has it still.
func (r room) named(name string) (by string, declared bool) {
	for _, c := range r.foreign() {
		if c.Name == name {
			return owner(c), false
		}
	}
	for _, st := range r.stacks {
		for _, c := range st.Containers {
			if c.Name == name {
				return fmt.Sprintf("%s of stack %s", c.Service, st.Name), true
			}
		}
	}
	return "", false
}

// ofEngine are the networks that each Docker engine has.
var ofEngine = []string{"bridge", "host", "none"}

// networks looks for those that the stack joins and does not make.
func (l look) networks() []Misfit {
	engine := l.room.Report.Engine
	var found []Misfit
	for _, n := range l.st.Networks {
		if engine == nil || !n.External || slices.Contains(slices.Concat(ofEngine, engine.Networks, l.room.Networks), n.Name) || l.made(n.Name) {
			continue
		}
		found = append(found, l.misfit(fmt.Sprintf("declare it under networks: in fleet.yaml, or there: docker network create %s", n.Name), "it joins the network %s, which is not there", n.Name))
	}
	return found
}

// made reports whether a stack that is placed on the host makes a network.
func (l look) made(network string) bool {
	return slices.ContainsFunc(slices.Concat(l.room.Stays, l.room.Comes), func(st Stack) bool { return st.makes(network) })
}

// volumes looks for those that Compose does not make: without one, no container of the stack
// is made.
func (l look) volumes() []Misfit {
	engine := l.room.Report.Engine
	if engine == nil || engine.Volumes == nil {
		return nil
	}
	var found []Misfit
	for _, name := range l.st.Awaited {
		if !slices.Contains(engine.Volumes, name) && !slices.ContainsFunc(slices.Concat(l.room.Stays, l.room.Comes), func(o Stack) bool { return o.makesVolume(name) }) {
			found = append(found, l.misfit(fmt.Sprintf("there, with what has to be in it: docker volume create %s; for data that Salvor is to save: x-salvor: {volumes: {%s: {protect: snapshot}}}", name, l.st.nameOf(name)),
				"it mounts the external volume %s, which is not there", name))
		}
	}
	return found
}

// nameOf is what a stack's Compose file calls one of Docker's volumes.
func (s Stack) nameOf(volume string) string {
	for _, v := range s.Volumes {
		if v.Docker == volume {
			return v.Name
		}
	}
	return volume
}

// makesVolume reports whether a stack has a volume of a name, and does not wait for it itself.
func (s Stack) makesVolume(name string) bool {
	return !slices.Contains(s.Awaited, name) && slices.ContainsFunc(s.Volumes, func(v project.Volume) bool { return v.Docker == name })
}

func (s Stack) makes(network string) bool {
	return slices.ContainsFunc(s.Networks, func(n project.Network) bool { return n.Name == network && !n.External })
}

// memory looks at reservations, of all stacks together, and at each service's limit.
func (l look) memory() []Misfit {
	has := l.room.Report.Memory
	if has == 0 {
		return nil
	}
	var others []string
	var reserved int64
	for _, st := range l.room.stacks {
		if bytes := st.reserves(); bytes > 0 {
			reserved, others = reserved+bytes, append(others, st.Name)
		}
	}
	found := l.each(func(service string, asks project.Asks) []Misfit {
		if asks.MemoryLimit <= has {
			return nil
		}
		m := l.misfit("lower its memory limit", "%s may use %s of memory, and the host has %s", service, terminal.Bytes(asks.MemoryLimit), terminal.Bytes(has))
		m.Severity = finding.Warning
		return []Misfit{m}
	})
	wants := l.st.reserves()
	if wants == 0 || wants+reserved <= has {
		return found
	}
	text := fmt.Sprintf("it reserves %s of memory, and the host has %s", terminal.Bytes(wants), terminal.Bytes(has))
	if reserved > 0 {
		text += fmt.Sprintf(", of which %s are reserved by %s", terminal.Bytes(reserved), strings.Join(others, ", "))
	}
	return append(found, l.misfit("lower its reservation", "%s", text))
}

func (s Stack) reserves() int64 {
	var all int64
	for _, asks := range s.Asks {
		all += asks.Memory
	}
	return all
}

// space looks whether the stack's data can be restored.
func (l look) space() []Misfit {
	needs := copies * l.st.Bytes
	if l.st.Bytes == 0 || l.room.Report.Free == 0 || needs <= l.room.free {
		return nil
	}
	text := fmt.Sprintf("its data is %s, and to restore it takes twice that; the host has %s free", terminal.Bytes(l.st.Bytes), terminal.Bytes(l.room.Report.Free))
	if others := l.room.Report.Free - l.room.free; others > 0 {
		text += fmt.Sprintf(", of which other stacks need %s", terminal.Bytes(others))
	}
	return []Misfit{l.misfit("make room on the disk that has the volumes", "%s", text)}
}
