package compose

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/project"
	"salvor/internal/stack"
	"salvor/internal/yamldoc"
)

// A renderer makes the project that a host gets of a stack that was read.
type renderer struct{ load *load }

// render makes the project that a host runs: everything resolved, data where Salvor
// keeps it, secrets and gate mounted, `${…}` where a secret is. The top-level volumes
// stay as written: Compose offers to delete a volume whose definition changed.
func (r renderer) render(ms *mounts) (project.Project, error) {
	out := project.Project{Name: r.load.Stack.Project, Dir: hostpath.Default().Project(r.load.Stack.Name)}
	c := &collector{load: r.load, files: map[string]project.File{}}
	delivered, err := r.deliver(c)
	if err != nil {
		return out, err
	}
	out.Secrets = delivered
	if err := r.load.noJobs(); err != nil {
		return out, err
	}
	if r.load.onChange, err = r.changePolicies(delivered); err != nil {
		return out, err
	}
	for _, name := range r.load.project.ServiceNames() {
		s := r.load.project.Services[name]
		if err := r.load.beyond(s); err != nil {
			return out, err
		}
		if err := errors.Join(variables(r).exposed(s), r.renderService(c, ms, &s, delivered)); err != nil {
			return out, err
		}
		r.load.project.Services[name] = s
		described := r.describe(s)
		r.otherDigest(described)
		out.Services = append(out.Services, described)
	}
	out.Networks, out.Volumes = r.externalNetworks(), r.ownVolumes(ms)
	delete(r.load.project.Extensions, "x-salvor")
	if out.Compose, out.Env, err = encode(r.load.project); err != nil {
		return out, err
	}
	if err := r.deliverableVariables(out.SecretEnv()); err != nil {
		return out, err
	}
	out.Files = c.sorted()
	out.Hash = hash(out)
	return out, nil
}

func (r renderer) renderService(c *collector, ms *mounts, s *types.ServiceConfig, secrets []project.SecretMount) error {
	if err := c.securityOptions(s); err != nil {
		return err
	}
	if r.load.active[s.Name] {
		s.Profiles = nil
	}
	var fromGit []project.File
	var volumes []types.ServiceVolumeConfig
	for i := range s.Volumes {
		m := ms.at(s.Name, i)
		entry, files, err := c.place(m)
		if err != nil {
			return r.load.fail(r.load.files.mount(s.Name, m.entry.Target), "%v", err)
		}
		volumes, fromGit = append(volumes, entry), append(fromGit, files...)
	}
	for _, use := range s.Configs {
		if p, ok := c.configs[use.Source]; ok {
			fromGit = append(fromGit, p)
		}
	}
	s.Volumes = append(volumes, r.additions(s.Name, secrets)...)
	s.Secrets = nil
	if len(fromGit) > 0 {
		labels := maps.Clone(s.Labels)
		if labels == nil {
			labels = types.Labels{}
		}
		labels[stack.FilesLabel] = filesHash(fromGit)
		s.Labels = labels
	}
	if s.Build != nil {
		return c.build(s)
	}
	return nil
}

// additions are the mounts that Salvor adds to a service: its gate, and its
// secrets when it has some.
func (r renderer) additions(service string, secrets []project.SecretMount) []types.ServiceVolumeConfig {
	adds := []types.ServiceVolumeConfig{existing(hostpath.Default().Gate(r.load.Stack.Name), stack.GateTarget)}
	folder := hostpath.Default().Secrets().Service(r.load.Stack.Name, service)
	whole := false
	for _, s := range secrets {
		switch {
		case s.Service != service:
		case path.IsAbs(s.Target):
			adds = append(adds, existing(hostpath.Default().Secrets().Single(r.load.Stack.Name, s.Service, s.Target), s.Target))
		default:
			whole = true
		}
	}
	if whole {
		adds = append(adds, existing(folder, stack.SecretsTarget))
	}
	return adds
}

// existing is a read-only bind that the engine refuses when its source is not
// there, instead of making an empty folder.
func existing(source, target string) types.ServiceVolumeConfig {
	return types.ServiceVolumeConfig{Type: types.VolumeTypeBind, Source: source, Target: target, ReadOnly: true, Bind: &types.ServiceVolumeBind{CreateHostPath: false}}
}

func (r renderer) describe(s types.ServiceConfig) project.Service {
	d := project.Service{Name: s.Name, OnChange: r.load.onChange[s.Name], OnRotate: r.onRotate(s.Name), Image: unmark(s.Image), Build: s.Build != nil, Idle: !r.load.active[s.Name]}
	for _, p := range s.Ports {
		d.Ports = append(d.Ports, published(p))
	}
	for _, v := range s.Volumes {
		d.Mounts = append(d.Mounts, v.Target)
	}
	for _, t := range s.Tmpfs {
		target, _, _ := strings.Cut(t, ":")
		d.Mounts = append(d.Mounts, target)
	}
	slices.Sort(d.Mounts)
	return d
}

// otherDigest points out a service whose Compose file names another digest than the
// lock has.
func (r renderer) otherDigest(s project.Service) {
	locked := r.load.Images[s.Name]
	if s.Build || !project.Digested(s.Image) || !project.Digested(locked) || project.Digest(locked) == project.Digest(s.Image) {
		return
	}
	r.load.found(finding.Finding{Code: finding.ImageNotAsLocked, Severity: finding.Info, Subject: r.load.files.of("services", s.Name, "image"),
		Text: fmt.Sprintf("%s will run %s, as written here; salvor.lock has %s from the last deploy", s.Name, s.Image, locked),
		Fix:  "salvor apply deploys the one written here; to keep the other one, write its digest here"})
}

func (r renderer) externalNetworks() []string {
	var names []string
	for key, n := range r.load.project.Networks {
		if bool(n.External) {
			if n.Name == "" {
				n.Name = key
			}
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	return names
}

// ownVolumes are Docker's names of external volumes whose data is the stack's.
func (r renderer) ownVolumes(ms *mounts) []string {
	var names []string
	for _, v := range ms.volumes() {
		own := v.Protect == fleet.Snapshot || v.Protect == fleet.None
		if own && v.Docker != "" && bool(r.load.project.Volumes[v.Name].External) {
			names = append(names, v.Docker)
		}
	}
	return names
}

// encode writes the project as YAML in which `$` is literal and marks are
// `${…}` again, and returns the variables used, sorted.
func encode(p *types.Project) ([]byte, []string, error) {
	content, err := p.MarshalYAML()
	if err != nil {
		return nil, nil, err
	}
	root, err := yamldoc.Parse(stack.ComposeFile, content)
	if err != nil {
		return nil, nil, err
	}
	used := map[string]bool{}
	literal(root, used)
	spellOut(root)
	content, err = yamldoc.Encode(root)
	return content, slices.Sorted(maps.Keys(used)), err
}

// spellOut writes create_host_path wherever compose-go leaves out its default:
// the Compose of older distributions has the other one.
func spellOut(project *yamldoc.Node) {
	for _, service := range yamldoc.Entries(yamldoc.Find(project, "services")) {
		for _, v := range yamldoc.Items(yamldoc.Find(service, "volumes")) {
			bind := yamldoc.Find(v, "bind")
			if yamldoc.ValueOf(yamldoc.Find(v, "type")) == types.VolumeTypeBind && bind != nil && yamldoc.Find(bind, "create_host_path") == nil {
				bind.Style = 0
				yamldoc.SetEntry(bind, "create_host_path", yamldoc.NewBool(true))
			}
		}
	}
}

func literal(n *yamldoc.Node, used map[string]bool) {
	if yamldoc.IsScalar(n) {
		for _, key := range marks(n.Value) {
			used[key] = true
		}
		if strings.Contains(n.Value, tailnetMark) {
			used[project.TailnetIP] = true
		}
		value := unmark(strings.ReplaceAll(n.Value, "$", "$$"))
		if value != n.Value {
			n.Value, n.Tag = value, "!!str"
		}
		return
	}
	for i, c := range n.Content {
		if yamldoc.IsMapping(n) && i%2 == 0 {
			continue // Compose interpolates no keys
		}
		literal(c, used)
	}
}

func hash(p project.Project) string {
	p.Hash = ""
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(p); err != nil {
		panic("salvor: internal error: a project does not encode: " + err.Error())
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}

func filesHash(files []project.File) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%q %o %d\n", f.Path, f.Mode, len(f.Data))
		h.Write(f.Data)
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}

// place returns a mount as the rendered file has it, with the files from Git
// that it shows.
func (c *collector) place(m *mount) (types.ServiceVolumeConfig, []project.File, error) {
	e := m.entry
	switch {
	case m.protect == fleet.Config:
		to, files, err := c.take(m.file)
		e.Source = to
		return e, files, err
	case m.volume != nil && m.volume.Protect == fleet.Shared:
		e = types.ServiceVolumeConfig{Type: types.VolumeTypeBind, Source: m.source, Target: e.Target, ReadOnly: e.ReadOnly || m.volume.ReadOnly(), Bind: &types.ServiceVolumeBind{CreateHostPath: false}}
	case m.volume != nil && e.Type == types.VolumeTypeBind:
		e.Source = m.source
		if m.volume.Protect == fleet.External {
			bind := types.ServiceVolumeBind{}
			if e.Bind != nil {
				bind = *e.Bind
			}
			bind.CreateHostPath = false
			e.Bind = &bind
		}
	}
	return e, nil, nil
}
