package compose

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/project"
	"salvor/internal/yamldoc"
)

// containers returns the container names of the services that start, sorted.
func (s started) containers() []project.Container {
	var all []project.Container
	for name, service := range s.load.project.Services {
		if s.load.active[name] && service.ContainerName != "" {
			all = append(all, project.Container{Name: unmark(service.ContainerName), Service: name, Position: s.load.files.of("services", name, "container_name")})
		}
	}
	slices.SortFunc(all, func(a, b project.Container) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Service, b.Service))
	})
	return all
}

// published returns the ports that the services which start publish.
func (s started) published() []project.Published {
	var all []project.Published
	for _, name := range s.load.project.ServiceNames() {
		if !s.load.active[name] {
			continue
		}
		for _, p := range s.load.project.Services[name].Ports {
			port := published(p)
			all = append(all, project.Published{Port: port, Service: name, Position: s.load.files.port(name, port)})
		}
	}
	return all
}

func published(p types.ServicePortConfig) project.Port {
	return project.Port{Address: unmark(p.HostIP), Published: unmark(p.Published), Target: p.Target, Protocol: p.Protocol}
}

// port returns the place of the entry under ports: that publishes a port. One that is
// written with variables is found by what it is in the container.
func (s sources) port(service string, p project.Port) string {
	target := strconv.FormatUint(uint64(p.Target), 10)
	for _, is := range []func(outside, inside string) bool{
		func(outside, inside string) bool { return has(outside, p.Published) && has(inside, target) },
		func(_, inside string) bool { return has(inside, target) },
	} {
		for _, src := range slices.Backward(s) { // a file adds to those before it
			for _, item := range yamldoc.Items(yamldoc.Find(src.root, "services", service, "ports")) {
				if outside, inside := portOf(item); is(outside, inside) {
					return fmt.Sprintf("%s:%d:%d", src.name, item.Line, item.Column)
				}
			}
		}
	}
	return s.of("services", service, "ports")
}

// portOf returns what an entry of ports: takes on the host and what it is in the container,
// as it is written.
func portOf(item *yamldoc.Node) (outside, inside string) {
	if target := yamldoc.Find(item, "target"); target != nil {
		return yamldoc.ValueOf(yamldoc.Find(item, "published")), yamldoc.ValueOf(target)
	}
	text, _, _ := strings.Cut(yamldoc.ValueOf(item), "/")
	if at := strings.LastIndexByte(text, ':'); at >= 0 {
		outside, inside = text[:at], text[at+1:]
		return outside[strings.LastIndexByte(outside, ':')+1:], inside
	}
	return "", text
}

// has reports whether a port is written, or in a range that is.
func has(written, port string) bool {
	first, last, isRange := strings.Cut(written, "-")
	if !isRange {
		return written == port
	}
	var n [3]int
	for i, text := range []string{first, port, last} {
		var err error
		if n[i], err = strconv.Atoi(text); err != nil {
			return written == port
		}
	}
	return n[0] <= n[1] && n[1] <= n[2]
}
