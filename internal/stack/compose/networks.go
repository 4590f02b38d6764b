package compose

import (
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/project"
)

// defaultNetwork is the one that a service is in which names none.
const defaultNetwork = "default"

// networks returns those that the project's services are in, by name.
func (s started) networks() []project.Network {
	var all []project.Network
	for _, key := range s.joined() {
		n := s.load.project.Networks[key]
		one := project.Network{Name: unmark(n.Name), External: bool(n.External), Position: s.load.files.of("networks", key)}
		switch {
		case one.Name == "" && one.External:
			one.Name = key
		case one.Name == "":
			one.Name = s.load.Stack.ProjectName() + "_" + key
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b project.Network) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// joined returns the networks of the services that start, by their keys.
func (s started) joined() []string {
	var keys []string
	for name, service := range s.load.project.Services {
		if s.load.active[name] {
			keys = append(keys, networksOf(service)...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func networksOf(s types.ServiceConfig) []string {
	switch {
	case s.NetworkMode != "":
		return nil
	case len(s.Networks) == 0:
		return []string{defaultNetwork}
	}
	var keys []string
	for key := range s.Networks {
		keys = append(keys, key)
	}
	return keys
}
