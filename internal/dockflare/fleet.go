package dockflare

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/cloudflare"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/project"
)

// A Fleet is the newest commit of the fleet, opened, as far as an adoption needs it.
type Fleet struct {
	Declared *fleet.Fleet
	Lock     fleet.Lock
	Stacks   map[string]project.Rendered // by name
	File     func(name string) ([]byte, error)
	Commit   func(ctx context.Context, files map[string][]byte, message string) error
	Dial     func(ctx context.Context, h fleet.Host) (*hostlink.Link, error)
	API      func(ctx context.Context) (*cloudflare.Client, error) // with the operator's key
	Patience time.Duration                                         // for Salvor's connector to be ready
}

// connectorPrefix begins the name of the container in which DockFlare runs cloudflared; the
// tunnel's name follows.
const connectorPrefix = "cloudflared-agent-"

// noProject is what no project can be called: files of projects, which have secrets, are not
// wanted.
const noProject = "-"

// A running is what of DockFlare runs on a host.
type running struct {
	controller string   // what runs it, for messages; "" for none
	stop       string   // the command that stops that
	connectors []string // names of the containers that run its connectors
}

// on asks a host what of DockFlare runs there.
func (f *Fleet) on(ctx context.Context, h fleet.Host) (running, *hostlink.Link, error) {
	var r running
	link, err := f.Dial(ctx, h)
	if err != nil {
		return r, nil, err
	}
	var inv agentapi.Inventory
	if err := link.Call(ctx, agentapi.VerbInventory, agentapi.AskInventory{Projects: []string{noProject}}, &inv); err != nil {
		return r, nil, err
	}
	for _, p := range inv.Projects {
		for _, s := range p.Services {
			if !controls(s.Image) || s.Running == 0 {
				continue
			}
			r.controller, r.stop = p.Name+"/"+s.Name, "salvor ssh "+h.Name+" docker compose -p "+p.Name+" stop "+s.Name
			if p.Own {
				r.stop = "salvor stop " + p.Name
			}
		}
	}
	for _, c := range inv.Containers {
		switch {
		case !c.Running:
		case controls(c.Image):
			r.controller, r.stop = c.Name, "salvor ssh "+h.Name+" docker stop "+c.Name
		case strings.HasPrefix(c.Name, connectorPrefix) && repository(c.Image) == "cloudflared":
			r.connectors = append(r.connectors, c.Name)
		}
	}
	return r, link, nil
}

// controls reports whether an image is DockFlare's controller, or the agent of one elsewhere.
func controls(image string) bool {
	return slices.Contains([]string{"dockflare", "dockflare-agent"}, repository(image))
}

// repository is the last part of an image's name, without tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	name, _, _ := strings.Cut(path.Base(image), ":")
	return name
}

// still refuses to go on while DockFlare would change back what is taken over.
func (r running) still(host string) error {
	if r.controller == "" {
		return nil
	}
	return fault.WithHint(fmt.Errorf("DockFlare runs on %s (%s), and would change back what is taken over", host, r.controller), r.stop+"; its connector runs on, and hostnames answer")
}

// tunnel finds the tunnel that is to be taken over: the one that fleet.yaml has already, that
// was named, that DockFlare's connector serves, or that its state names.
func (f *Fleet) tunnel(ctx context.Context, api *cloudflare.Client, host string, r running, o Options) (cloudflare.Tunnel, error) {
	all, err := api.Tunnels(ctx, "")
	if err != nil {
		return cloudflare.Tunnel{}, err
	}
	candidates := []string{f.Declared.Ingress.Tunnels[host], o.Tunnel}
	for _, c := range r.connectors {
		candidates = append(candidates, strings.TrimPrefix(c, connectorPrefix))
	}
	candidates = append(candidates, o.State.tunnel())
	var names []string
	for _, t := range all {
		names = append(names, t.Name)
	}
	i := slices.IndexFunc(candidates, func(c string) bool { return c != "" })
	if i < 0 {
		return cloudflare.Tunnel{}, fault.WithCode(fault.WithHint(errors.New("which tunnel is DockFlare's is not known: no connector of it runs on "+host), "--tunnel NAME, with one of "+strings.Join(names, ", ")), fault.Usage)
	}
	for _, t := range all {
		if t.ID != candidates[i] && t.Name != candidates[i] {
			continue
		}
		if t.Source == "local" {
			return t, fault.WithHint(fmt.Errorf("the rules of the tunnel %s are in a file of its connector's, so they can't be taken over", t.Name), "migrate it at Cloudflare's dashboard (Networks, Tunnels)")
		}
		return t, nil
	}
	return cloudflare.Tunnel{}, fault.WithHint(fmt.Errorf("the account has no tunnel %s", candidates[i]), "--tunnel NAME, with one of "+strings.Join(names, ", "))
}
