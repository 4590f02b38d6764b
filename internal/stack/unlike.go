package stack

import (
	"bytes"
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"salvor/internal/docker"
	"salvor/internal/yamldoc"
)

// A model is a project as Compose printed it, with every value filled in. What is said of
// it has names only, since any of its values may be a secret.
type model struct{ root *yamldoc.Node }

// modelOf reads what `docker compose config` printed. There each $ is written as $$.
func modelOf(resolved []byte) model {
	return model{rootOf(bytes.ReplaceAll(resolved, []byte("$$"), []byte("$")))}
}

// service is one of a model's, as far as it is compared with a container.
type service struct {
	Command, Entrypoint []string
	Environment         map[string]*string
	Labels              map[string]string
	Volumes             []struct {
		Type, Source, Target string
		ReadOnly             bool `yaml:"read_only"`
	}
	Tmpfs            []string
	Secrets, Configs []struct{ Source, Target string }
	Ports            []struct {
		Target, Published, Protocol string
		HostIP                      string `yaml:"host_ip"`
	}
	NetworkMode string `yaml:"network_mode"`
	Restart     string
	Deploy      struct {
		RestartPolicy *struct{} `yaml:"restart_policy"`
	}
	User        string
	Hostname    string
	WorkingDir  string `yaml:"working_dir"`
	Privileged  bool
	ReadOnly    bool `yaml:"read_only"`
	Init        *bool
	CapAdd      []string `yaml:"cap_add"`
	CapDrop     []string `yaml:"cap_drop"`
	Healthcheck struct{ Test []string }
}

// unlike names the parts in which a container was made otherwise than the service in Git
// says. There are none where no setting that is known here tells them apart.
func (m model) unlike(name string, made docker.Made, image docker.Config) []string {
	node := yamldoc.Find(m.root, "services", name)
	var s service
	if node == nil || node.Decode(&s) != nil {
		return nil // of a Compose that prints another form
	}
	var said []string
	for _, part := range []struct {
		what     string
		was, now map[string]string
	}{
		{"environment", s.ran(made.Config.Env), s.environment(image.Env)},
		{"labels", s.labelled(made.Config.Labels, image.Labels), s.Labels},
		{"volumes", s.mounted(made), m.mounts(s)},
		{"ports", bound(made), s.bindings()},
		{"networks", joined(made), m.networks(node, s)},
	} {
		if names := named(part.was, part.now); names != "" {
			said = append(said, part.what+" "+names)
		}
	}
	return append(said, s.others(made, image)...)
}

// others names the settings that have one value each.
func (s service) others(made docker.Made, image docker.Config) []string {
	c, h := made.Config, made.HostConfig
	command, entrypoint, test := s.Command, s.Entrypoint, s.Healthcheck.Test
	if command == nil && entrypoint == nil { // with an entrypoint of its own the image's command is left out
		command = image.Cmd
	}
	if entrypoint == nil {
		entrypoint = image.Entrypoint
	}
	if test == nil {
		test = image.Healthcheck.Test
	}
	restart := h.RestartPolicy.Written()
	if s.Restart == "" && s.Deploy.RestartPolicy != nil {
		s.Restart = restart // deploy: says it in other words
	}
	var said []string
	for _, part := range []struct {
		what string
		same bool
	}{
		{"command", slices.Equal(c.Cmd, command)},
		{"entrypoint", slices.Equal(c.Entrypoint, entrypoint)},
		{"healthcheck", slices.Equal(c.Healthcheck.Test, test)},
		{"network_mode", foreign(h.NetworkMode) == foreign(s.NetworkMode)},
		{"restart", restart == cmp.Or(s.Restart, "no")},
		{"user", c.User == cmp.Or(s.User, image.User)},
		{"working_dir", c.WorkingDir == cmp.Or(s.WorkingDir, image.WorkingDir)},
		{"hostname", s.Hostname == "" || c.Hostname == s.Hostname},
		{"privileged", h.Privileged == s.Privileged},
		{"read_only", h.ReadonlyRootfs == s.ReadOnly},
		{"init", s.Init == nil || h.Init != nil && *h.Init == *s.Init},
		{"cap_add", slices.Equal(capabilities(h.CapAdd), capabilities(s.CapAdd))},
		{"cap_drop", slices.Equal(capabilities(h.CapDrop), capabilities(s.CapDrop))},
	} {
		if !part.same {
			said = append(said, part.what)
		}
	}
	return said
}

// foreign is a network that is not one of the project's: the host's, none, or another
// container's, which Compose calls by its service.
func foreign(mode string) string {
	kind, _, of := strings.Cut(mode, ":")
	switch {
	case of && (kind == "container" || kind == "service"):
		return "another's"
	case mode == "host" || mode == "none" || mode == "bridge":
		return mode
	}
	return ""
}

func capabilities(all []string) []string {
	var names []string
	for _, name := range all {
		names = append(names, strings.TrimPrefix(strings.ToUpper(name), "CAP_"))
	}
	slices.Sort(names)
	return names
}

func pairs(env []string) map[string]string {
	all := map[string]string{}
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		all[name] = value
	}
	return all
}

// ran are a container's variables, without those that it got from a proxy of the engine's
// client, which Compose's hash leaves out.
func (s service) ran(env []string) map[string]string {
	all := pairs(env)
	maps.DeleteFunc(all, func(name, _ string) bool {
		_, asked := s.Environment[name]
		return !asked && strings.HasSuffix(strings.ToLower(name), "_proxy")
	})
	return all
}

// environment are the variables that a container gets: the image's, and over them those of
// the service, of which one without a value is left out.
func (s service) environment(image []string) map[string]string {
	all := s.ran(image)
	for name, value := range s.Environment {
		if value != nil {
			all[name] = *value
		}
	}
	return all
}

// labelled are a container's labels, without Compose's own and those of its image.
func (s service) labelled(container, image map[string]string) map[string]string {
	all := maps.Clone(container)
	maps.DeleteFunc(all, func(name, value string) bool {
		_, asked := s.Labels[name]
		given, has := image[name]
		return strings.HasPrefix(name, "com.docker.compose.") || !asked && has && given == value
	})
	return all
}

// mounted is what a container has mounted, by target, but for what Compose mounts for
// secrets and configs, and for volumes that its image asks for.
func (s service) mounted(made docker.Made) map[string]string {
	given := map[string]bool{}
	for _, f := range s.Secrets {
		given[path.Join("/run/secrets", f.Source)], given[f.Target], given[path.Join("/run/secrets", f.Target)] = true, true, true
	}
	for _, f := range s.Configs {
		given["/"+f.Source], given[f.Target] = true, true
	}
	asked := func(target string) bool {
		for _, v := range s.Volumes {
			if v.Target == target {
				return true
			}
		}
		return false
	}
	all := map[string]string{}
	for target := range made.HostConfig.Tmpfs {
		all[target] = "tmpfs"
	}
	for _, m := range made.Mounts {
		anonymous := m.Anonymous()
		if !asked(m.Destination) && (given[m.Destination] || anonymous) {
			continue
		}
		switch {
		case m.Type == "tmpfs":
			all[m.Destination] = m.Type
		case anonymous:
			all[m.Destination] = mount(m.Type, "", !m.RW)
		default:
			all[m.Destination] = mount(m.Type, cmp.Or(m.Name, m.Source), !m.RW)
		}
	}
	return all
}

func mount(kind, source string, readOnly bool) string {
	if readOnly {
		kind += ", read-only"
	}
	return kind + " " + source
}

// mounts is what Git says that a service has mounted.
func (m model) mounts(s service) map[string]string {
	all := map[string]string{}
	for _, t := range s.Tmpfs {
		target, _, _ := strings.Cut(t, ":")
		all[target] = "tmpfs"
	}
	for _, v := range s.Volumes {
		source := v.Source
		if v.Type == "volume" && source != "" {
			source = m.called("volumes", source)
		}
		if docker.Anonymous(source) {
			source = "" // one of a draft, which names it to keep its data
		}
		if all[v.Target] = mount(v.Type, source, v.ReadOnly); v.Type == "tmpfs" {
			all[v.Target] = v.Type
		}
	}
	return all
}

// called is the name that the engine knows a volume or network by.
func (m model) called(section, key string) string {
	return cmp.Or(yamldoc.ValueOf(yamldoc.Find(m.root, section, key, "name")), key)
}

// bound are the host's ports by those of a container, "80/tcp".
func bound(made docker.Made) map[string]string {
	all := map[string]string{}
	for port, bindings := range made.HostConfig.PortBindings {
		var on []string
		for _, b := range bindings {
			on = append(on, b.HostIP+":"+strings.TrimPrefix(b.HostPort, "0"))
		}
		slices.Sort(on)
		all[port] = strings.Join(on, " ")
	}
	return all
}

func (s service) bindings() map[string]string {
	on := map[string][]string{}
	for _, p := range s.Ports {
		port := p.Target + "/" + cmp.Or(p.Protocol, "tcp")
		on[port] = append(on[port], p.HostIP+":"+strings.TrimPrefix(p.Published, "0"))
	}
	all := map[string]string{}
	for port, bindings := range on {
		slices.Sort(bindings)
		all[port] = strings.Join(bindings, " ")
	}
	return all
}

// joined are the networks of a container that are not the host's or another container's.
func joined(made docker.Made) map[string]string {
	if foreign(made.HostConfig.NetworkMode) != "" {
		return nil
	}
	return setOf(slices.Collect(maps.Keys(made.NetworkSettings.Networks)))
}

func (m model) networks(node *yamldoc.Node, s service) map[string]string {
	if s.NetworkMode != "" {
		return nil
	}
	all := map[string]string{}
	for key := range yamldoc.Entries(yamldoc.Find(node, "networks")) {
		all[m.called("networks", key)] = ""
	}
	return all
}
