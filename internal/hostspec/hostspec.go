// Package hostspec makes each host's request, an agentapi.Host, from one commit and a
// lock: the same for the operator's program and the host's, which gives the same
// bytes for the same commit. Nothing is read, opened or written.
package hostspec

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/sign"
)

// A Commit is what one commit says.
type Commit struct {
	ID      string
	Fleet   *fleet.Fleet
	Stacks  map[string]project.Rendered // by name, those that load
	Git     agentapi.Git                // how hosts read the repository
	LetIn   []string                    // lines of authorized_keys that every host has
	Signers sign.Keys                   // the fleet's, which every host trusts
	Seal    func(host, stack string) (Seal, error)
}

// A Seal is sealed/<host>/<stack>.age as its host gets it.
type Seal struct {
	File      []byte
	Signature []byte
	Inputs    string // digest of what the file must be made from; "" where that has not been asked, or the file is being replaced
}

// Said is what the operator said for one run; the zero value says nothing.
type Said struct {
	Consent    map[string]project.Consent // by stack, about its data
	From       string                     // the only target that restores take from, "" for all
	AcceptLoss bool                       // newest snapshots that the remote has lost are given up for those that are there
}

// Host returns what a host is asked to be under lock. Stacks are in start order.
func (c Commit) Host(host fleet.Host, lock fleet.Lock, said Said) (agentapi.Host, error) {
	spec := agentapi.Host{
		Schema: agentapi.Schema, Fleet: c.Fleet.Name, Name: host.Name, Commit: c.ID,
		Outside: c.outside(host), Docker: c.docker(host), Manage: host.Manage.Listed(), Mounts: host.Mounts, Networks: c.Fleet.Networks, Git: c.Git, Signers: c.Signers, Record: c.Fleet.Record, Bandwidth: c.Fleet.Bandwidths(),
	}
	if len(c.LetIn) > 0 {
		spec.SSH = agentapi.SSH{User: cmp.Or(host.User, "root"), Keys: c.LetIn}
	}
	if t := c.Fleet.Tailnet; t != nil && host.Manage.Has(fleet.AreaTailnet) {
		spec.Tailnet = &agentapi.Tailnet{Tags: t.Tags, LoginServer: t.LoginServer, AcceptDNS: t.AcceptDNS, URL: t.URL, Key: t.Key}
	}
	spec.Ingress = c.ingress(host.Name, lock)
	if spec.Ingress != nil {
		connector := project.Service{Name: fleet.ConnectorProject, Image: fleet.ConnectorImage}
		spec.Projects = []agentapi.OwnProject{{Name: connector.Name, Image: connector.Reference(lock.Hosts[host.Name].Images)}}
	}
	if p, has := lock.Hosts[host.Name]; has && c.Fleet.HasOwn(lock, host) {
		own, err := c.own(host, p)
		if err != nil {
			return agentapi.Host{}, err
		}
		spec.Own = &own
	}
	for _, name := range c.startOrder(lock.On(host.Name)) {
		st, err := c.stack(host.Name, name, lock.Stacks[name], said)
		if err != nil {
			return agentapi.Host{}, err
		}
		spec.Stacks = append(spec.Stacks, st)
	}
	return spec, nil
}

func (c Commit) docker(h fleet.Host) fleet.Docker {
	d := c.Fleet.Docker
	if h.Docker.From() {
		d.Channel, d.URL, d.Key = h.Docker.Channel, h.Docker.URL, h.Docker.Key
	}
	if h.Docker.Users != nil {
		d.Users = h.Docker.Users
	}
	d.LiveRestore = d.LiveRestore || h.Docker.LiveRestore
	return d
}

// outside is what reaches a host from outside where its firewall is Salvor's, nothing elsewhere.
func (c Commit) outside(h fleet.Host) agentapi.Outside {
	if !h.Manage.Has(fleet.AreaFirewall) {
		return agentapi.Outside{}
	}
	from := h.SSHFrom
	if len(from) == 0 {
		from = c.Fleet.SSHFrom
	}
	return agentapi.Outside{SSHFrom: from, Open: h.Open}
}

// ingress is how a host publishes routes, nil for one that has none.
func (c Commit) ingress(host string, lock fleet.Lock) *agentapi.Ingress {
	if !c.Fleet.Publishes(lock, host) {
		return nil
	}
	i := c.Fleet.Ingress
	spec := &agentapi.Ingress{Account: i.Account, Network: i.Network, Hosts: len(c.Fleet.Publishing(lock)), Routes: i.RoutesOf(host).Routes, Tunnel: i.Tunnels[host]}
	if len(spec.Routes) > 0 {
		spec.Former = c.former(host, lock)
	}
	return spec
}

// former are the other hosts by what they had of their own, with the last epoch that is over:
// the one before the present, and of a host that left the fleet the present one.
func (c Commit) former(host string, lock fleet.Lock) map[string]int {
	var former map[string]int
	for name, p := range lock.Hosts {
		epoch := p.Epoch
		if _, declared := c.Fleet.Host(name); declared {
			epoch--
		}
		if name == host || epoch == 0 {
			continue
		}
		if former == nil {
			former = map[string]int{}
		}
		former[fleet.Own(name)] = epoch
	}
	return former
}

// own is what the host has of its own, as a stack without services.
func (c Commit) own(host fleet.Host, p fleet.Placement) (agentapi.Stack, error) {
	name := fleet.Own(host.Name)
	sealed, err := c.Seal(host.Name, name)
	if err != nil {
		return agentapi.Stack{}, err
	}
	st := agentapi.Stack{Name: name, Epoch: p.Epoch, Sealed: sealed.File, Signature: sealed.Signature, Inputs: sealed.Inputs}
	if len(host.Protect) == 0 {
		return st, nil
	}
	for _, folder := range host.Protect {
		st.Volumes = append(st.Volumes, project.Volume{Name: "@" + strings.ReplaceAll(folder, "/", "@"), Source: folder, Path: folder, Protect: fleet.Snapshot, Method: fleet.Live})
	}
	st.Targets = c.targets(p)
	return st, nil
}

func (c Commit) targets(p fleet.Placement) []agentapi.Target {
	var all []agentapi.Target
	for _, t := range c.Fleet.Snapshots {
		all = append(all, agentapi.Target{Name: t.Name, Where: t.Where, Repository: p.Repositories[t.Name], Former: p.Former[t.Name], Every: t.Every, RPO: t.RPO, Keep: t.Keep, AppendOnly: t.AppendOnly})
	}
	return all
}

func (c Commit) stack(host, name string, p fleet.Placement, said Said) (agentapi.Stack, error) {
	declared, known := c.Fleet.Stack(name)
	rendered := c.Stacks[name]
	sealed, err := c.Seal(host, name)
	if err != nil {
		return agentapi.Stack{}, err
	}
	st := agentapi.Stack{
		Name: name, Epoch: p.Epoch, Stopped: p.Stopped, Images: p.Images, Restore: p.Wish(), Proven: p.Proven,
		Sealed: sealed.File, Signature: sealed.Signature,
	}
	if !known || declared.Broken {
		st.Kept = true
		return st, nil
	}
	st.Project, st.Inputs = rendered.Project, sealed.Inputs
	st.RPO, st.PauseLimit, st.PauseEvery, st.Needs = declared.RPO, declared.PauseLimit, declared.PauseEvery, declared.Needs
	st.Hooks, st.Stops = rendered.Hooks, rendered.Stops
	st.Volumes, st.Consent, st.AcceptLoss, st.From = slices.Clone(rendered.Volumes), said.Consent[name], said.AcceptLoss, said.From
	if st.Consent == project.ConsentAdopt {
		st.Adopt, st.Draft = rendered.Adoption, declared.Draft
	}
	for i, v := range st.Volumes {
		st.Volumes[i].Born = BornAs(p, v)
	}
	if slices.ContainsFunc(st.Volumes, func(v project.Volume) bool { return v.Protect == fleet.Shared }) {
		st.Shared = &agentapi.Shared{Where: c.Fleet.Shared, Mount: cmp.Or(declared.Shared, fleet.DefaultSharedMount())}
	}
	st.Targets = c.targets(p)
	return st, nil
}

// startOrder puts needed stacks before those that need them, else by name. The
// loader has refused cycles.
func (c Commit) startOrder(names []string) []string {
	var ordered []string
	var visit func(name string)
	visit = func(name string) {
		if !slices.Contains(names, name) || slices.Contains(ordered, name) {
			return
		}
		st, _ := c.Fleet.Stack(name)
		for _, need := range st.Needs {
			visit(need)
		}
		ordered = append(ordered, name)
	}
	for _, name := range names {
		visit(name)
	}
	return ordered
}

// BornAs returns when a volume came to life, under its name or the previous one.
func BornAs(p fleet.Placement, v project.Volume) time.Time {
	if born := p.Volumes[v.Name].Born; !born.IsZero() || v.Formerly == "" {
		return born
	}
	return p.Volumes[v.Formerly].Born
}
