package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// A Member is a running container in a network.
type Member struct {
	ID, Name         string
	Project, Service string // as Compose labels them, "" for a container that it did not make
	Address          string // in the network: IPv4, else IPv6
}

// Members lists the running containers in the network of that name, by name.
func (e *Engine) Members(ctx context.Context, network string) ([]Member, error) {
	filters, err := json.Marshal(map[string][]string{"network": {network}})
	if err != nil {
		return nil, err
	}
	answer, err := e.get(ctx, "/containers/json?filters="+url.QueryEscape(string(filters)))
	if err != nil {
		return nil, err
	}
	return parseMembers(answer, network)
}

func parseMembers(answer []byte, network string) ([]Member, error) {
	var list []struct {
		ID              string `json:"Id"`
		Names           []string
		Labels          map[string]string
		NetworkSettings struct {
			Networks map[string]struct{ IPAddress, GlobalIPv6Address string }
		}
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, fmt.Errorf("read the Docker engine's list: %w", err)
	}
	var out []Member
	for _, l := range list {
		in, is := l.NetworkSettings.Networks[network] // the filter takes a network's ID, too
		if !is {
			continue
		}
		m := Member{ID: l.ID, Project: l.Labels[projectLabel], Service: l.Labels[serviceLabel], Address: cmp.Or(in.IPAddress, in.GlobalIPv6Address)}
		if len(l.Names) > 0 {
			m.Name = strings.TrimPrefix(l.Names[0], "/")
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// Called returns by which names the others in a network reach a container, sorted, without
// its ID. The error wraps ErrNoSuch where the container is gone.
func (e *Engine) Called(ctx context.Context, m Member, network string) ([]string, error) {
	answer, err := e.get(ctx, "/containers/"+m.ID+"/json")
	if err != nil {
		return nil, err
	}
	var in struct {
		NetworkSettings struct {
			Networks map[string]struct{ Aliases, DNSNames []string } // DNSNames since Docker 25
		}
	}
	if err := json.Unmarshal(answer, &in); err != nil {
		return nil, fmt.Errorf("read the Docker engine's container: %w", err)
	}
	at := in.NetworkSettings.Networks[network]
	names := slices.Concat([]string{m.Name}, at.Aliases, at.DNSNames)
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" || strings.HasPrefix(m.ID, name) })
	slices.Sort(names)
	return slices.Compact(names), nil
}
