// Package inventory reads what runs on a host, also what Salvor did not start: Compose projects with
// their files and data, and what belongs to none. It changes nothing.
package inventory

import (
	"cmp"
	"context"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/docker"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// A Host is where an inventory is taken.
type Host struct {
	Engine *docker.Engine
	Root   string              // of the file system, "" for the host's own; for tests
	Own    map[string]struct{} // the projects that are Salvor's stacks, in addition to the host's own
}

// Look takes the inventory. Files are read of the projects that are wanted, of all where
// none is named; never those of Salvor's own. An engine that does not answer is an error.
func (h Host) Look(ctx context.Context, wanted ...string) (agentapi.Inventory, error) {
	out := agentapi.Inventory{Schema: agentapi.Schema, Crontabs: h.crontabs()}
	containers, err := h.Engine.List(ctx)
	if err != nil {
		return out, err
	}
	foreign, err := h.Engine.Foreign(ctx)
	if err != nil {
		return out, err
	}
	if out.Swarm, err = h.Engine.InSwarm(ctx); err != nil {
		return out, err
	}
	digests, err := h.digests(ctx, containers)
	if err != nil {
		return out, err
	}
	byProject := map[string][]docker.Listed{}
	for _, c := range containers {
		if c.Project == "" {
			out.Containers = append(out.Containers, loose(c))
			continue
		}
		if project.IsIsolated(c.Project) {
			continue
		}
		byProject[c.Project] = append(byProject[c.Project], c)
	}
	users, room, places := usersOf(containers), int64(maxAll), h.places(containers)
	for _, name := range slices.Sorted(maps.Keys(byProject)) {
		p := describe(name, byProject[name], foreign, digests)
		_, p.Own = h.Own[name]
		p.Own = p.Own || strings.HasPrefix(name, fleet.OwnProjectPrefix)
		if p.Mounts = mountsOf(name, byProject[name], users); !p.Own {
			h.measure(ctx, p.Mounts)
		}
		if !p.Own && (len(wanted) == 0 || slices.Contains(wanted, name)) {
			err = h.files(ctx, &p, byProject[name], places, &room, out.Swarm)
		}
		if err != nil {
			return out, err
		}
		out.Projects = append(out.Projects, p)
	}
	out.Managers = h.managers(places)
	out.Volumes, err = h.unused(ctx, users)
	return out, err
}

// files collects what a project is made of, or drafts it where the host has no file of it.
func (h Host) files(ctx context.Context, p *agentapi.RunningProject, containers []docker.Listed, places []place, room *int64, swarm bool) error {
	if why := h.gone(*p, places); why != "" && (!swarm || len(p.Compose) > 0) {
		return h.draft(ctx, p, why, containers)
	}
	h.collect(p, places, room)
	return nil
}

// describe says of a project what its containers do.
func describe(name string, containers []docker.Listed, foreign map[string]bool, digests map[string]string) agentapi.RunningProject {
	p := agentapi.RunningProject{Name: name}
	for _, c := range containers {
		if c.OneOff {
			continue
		}
		i := slices.IndexFunc(p.Services, func(s agentapi.RunningService) bool { return s.Name == c.Service })
		if i < 0 {
			i = len(p.Services)
			p.Services = append(p.Services, agentapi.RunningService{Name: c.Service, Image: c.Image, Digest: digests[c.ImageID], Since: c.Made})
		}
		s := &p.Services[i]
		if c.Running {
			s.Running++
		}
		if !slices.Contains(s.Hashes, c.Hash) {
			s.Hashes = append(s.Hashes, c.Hash)
		}
		if c.Made.Before(s.Since) {
			s.Since = c.Made
		}
		p.Dir, p.Compose, p.EnvFiles = cmp.Or(p.Dir, c.Dir), orElse(p.Compose, c.ComposeFiles), orElse(p.EnvFiles, c.EnvFiles)
		for _, n := range c.Networks {
			if foreign[n] && !slices.Contains(p.Networks, n) {
				p.Networks = append(p.Networks, n)
			}
		}
	}
	for i := range p.Services {
		slices.Sort(p.Services[i].Hashes)
	}
	slices.Sort(p.Networks)
	return p
}

func orElse(have, other []string) []string {
	if len(have) > 0 {
		return have
	}
	return other
}

// digests returns the reference with a digest of each image that has one, by its id.
func (h Host) digests(ctx context.Context, containers []docker.Listed) (map[string]string, error) {
	known := map[string]string{}
	for _, c := range containers {
		if _, asked := known[c.ImageID]; asked || c.Project == "" {
			continue
		}
		all, err := h.Engine.Digests(ctx, c.ImageID)
		if err != nil {
			return nil, err
		}
		known[c.ImageID] = ""
		if len(all) > 0 {
			known[c.ImageID] = all[0]
		}
	}
	return known, nil
}

func loose(c docker.Listed) agentapi.LooseContainer {
	out := agentapi.LooseContainer{Name: c.Name, Image: c.Image, Running: c.Running}
	for _, m := range c.Mounts {
		out.Mounts = append(out.Mounts, m.Source)
	}
	return out
}

// usersOf returns the projects that have each place mounted, sorted; "" is that of
// containers without one.
func usersOf(containers []docker.Listed) map[string][]string {
	users := map[string][]string{}
	for _, c := range containers {
		for _, m := range c.Mounts {
			if !slices.Contains(users[m.Source], c.Project) {
				users[m.Source] = append(users[m.Source], c.Project)
			}
		}
	}
	return users
}

// mountsOf returns what a project has mounted, each place once.
func mountsOf(name string, containers []docker.Listed, users map[string][]string) []agentapi.FoundMount {
	bySource := map[string]*agentapi.FoundMount{}
	for _, c := range containers {
		for _, m := range c.Mounts {
			one := bySource[m.Source]
			if one == nil {
				others := slices.DeleteFunc(slices.Clone(users[m.Source]), func(p string) bool { return p == name || p == "" })
				one = &agentapi.FoundMount{Volume: m.Volume, Anonymous: m.Anonymous, Source: m.Source, ReadOnly: true, SharedBy: others}
				bySource[m.Source] = one
			}
			one.ReadOnly = one.ReadOnly && m.ReadOnly
			one.Services, one.Targets = with(one.Services, c.Service), with(one.Targets, m.Target)
		}
	}
	var all []agentapi.FoundMount
	for _, source := range slices.Sorted(maps.Keys(bySource)) {
		all = append(all, *bySource[source])
	}
	return all
}

func with(list []string, one string) []string {
	if slices.Contains(list, one) {
		return list
	}
	list = append(list, one)
	slices.Sort(list)
	return list
}

// unused returns the volumes that no container has, with how much is in them.
func (h Host) unused(ctx context.Context, users map[string][]string) ([]agentapi.LooseVolume, error) {
	all, err := h.Engine.Volumes(ctx)
	if err != nil {
		return nil, err
	}
	var out []agentapi.LooseVolume
	for _, v := range all {
		if len(users[v.Source]) == 0 {
			out = append(out, agentapi.LooseVolume{Name: v.Name, Found: h.found(ctx, v.Source)})
		}
	}
	return out, nil
}

// distributionJobs are the crontabs that Debian's and Ubuntu's packages bring.
func distributionJobs() []string {
	return []string{"e2scrub_all", "popularity-contest", "sysstat", "mdadm", "php", "anacron", "certbot", ".placeholder"}
}

// crontabs returns the files with jobs that someone wrote.
func (h Host) crontabs() []string {
	var all []string
	for _, pattern := range []string{"/etc/cron.d/*", "/var/spool/cron/crontabs/*"} {
		files, err := filepath.Glob(h.Root + pattern)
		if err != nil {
			continue // the pattern is ours and valid
		}
		for _, f := range files {
			if !slices.Contains(distributionJobs(), path.Base(f)) {
				all = append(all, strings.TrimPrefix(f, h.Root))
			}
		}
	}
	return all
}
