package inventory

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"salvor/internal/docker"
	"salvor/internal/project"
	"salvor/internal/yamldoc"
)

// service writes what a container was made with, without what its image gives it anyway. Its
// variables go to env.
func (d *drafting) service(c inspected, env map[string][]byte) mapping {
	s, made, config := newMapping(), c.made.HostConfig, c.made.Config
	s.text("image", config.Image)
	if c.count > 1 {
		s.number("scale", int64(c.count))
	} else if !slices.Contains([]string{d.project + "-" + c.Service + "-1", d.project + "_" + c.Service + "_1"}, c.Name) {
		s.text("container_name", c.Name)
	}
	d.ran(s, c)
	d.variables(s, c, env)
	if restart := made.RestartPolicy.Written(); restart != "no" {
		s.text("restart", restart)
	}
	d.network(s, c)
	d.ports(s, c)
	d.mounts(s, c)
	d.needs(s, c)
	d.health(s, c)
	labels := maps.Clone(config.Labels)
	maps.DeleteFunc(labels, func(name, value string) bool {
		given, has := c.image.Labels[name]
		return strings.HasPrefix(name, "com.docker.compose.") || has && given == value
	})
	s.pairs("labels", labels)
	d.rights(s, c)
	d.limits(s, c)
	return s
}

// ran writes what runs in the container, and as whom.
func (d *drafting) ran(s mapping, c inspected) {
	config, image := c.made.Config, c.image
	if named := c.made.HostConfig.NetworkMode; named != "host" && !strings.HasPrefix(named, "container:") && !strings.HasPrefix(c.ID, config.Hostname) {
		s.text("hostname", config.Hostname)
	}
	if config.User != image.User {
		s.text("user", config.User)
	}
	if config.WorkingDir != image.WorkingDir {
		s.text("working_dir", config.WorkingDir)
	}
	// with an entrypoint of its own a service does not get its image's command
	own := !slices.Equal(config.Entrypoint, image.Entrypoint) || len(config.Cmd) == 0 && len(image.Cmd) > 0
	if own {
		s.list("entrypoint", config.Entrypoint)
	}
	if own && len(config.Cmd) > 0 || !own && !slices.Equal(config.Cmd, image.Cmd) {
		s.list("command", config.Cmd)
	}
	if config.StopSignal != image.StopSignal {
		s.text("stop_signal", config.StopSignal)
	}
	if config.StopTimeout > 0 {
		s.text("stop_grace_period", (time.Duration(config.StopTimeout) * time.Second).String())
	}
	s.truth("tty", config.Tty)
	s.truth("stdin_open", config.OpenStdin)
	if init := c.made.HostConfig.Init; init != nil {
		yamldoc.SetEntry(s.Node, "init", yamldoc.NewBool(*init))
	}
}

// variable is a name that an env file can have.
var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// variables puts those that are not the image's into an env file of the service.
func (d *drafting) variables(s mapping, c inspected, env map[string][]byte) {
	var file bytes.Buffer
	others := map[string]string{}
	for _, entry := range slices.Sorted(slices.Values(c.made.Config.Env)) {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case slices.Contains(c.image.Env, entry) || name == "":
		case variable.MatchString(name) && !strings.ContainsRune(value, 0):
			fmt.Fprintf(&file, "%s=%s\n", name, project.QuoteEnv(value))
		default:
			others[name] = value
		}
	}
	if file.Len() > 0 {
		name := "environment/" + c.Service + ".env"
		s.list("env_file", []string{name})
		env[name] = file.Bytes()
	}
	s.pairs("environment", others)
}

// network writes in which networks the service is, where that is not its project's own alone.
func (d *drafting) network(s mapping, c inspected) {
	mode := c.made.HostConfig.NetworkMode
	id, of := strings.CutPrefix(mode, "container:")
	switch {
	case of && d.ids[id] != "":
		s.text("network_mode", "service:"+d.ids[id])
		return
	case of:
		d.lacks("%s: the container in whose network it is (%.12s)", c.Service, id)
		return
	case mode == "host" || mode == "none" || mode == "bridge":
		s.text("network_mode", mode)
		return
	}
	all, plain := newMapping(), true
	for _, name := range slices.Sorted(maps.Keys(c.made.NetworkSettings.Networks)) {
		end, own := c.made.NetworkSettings.Networks[name], d.ownNetworks[name]
		wanted, ofProject := strings.CutPrefix(name, d.project+"_")
		if own.Key() != "" {
			wanted = own.Key()
		} else if !ofProject {
			wanted = keyOf(name)
		}
		key, one := called(d.networks, name, wanted), newMapping()
		one.texts("aliases", aliases(end, c))
		if at := end.IPAMConfig; at != nil && at.IPv4Address+at.IPv6Address != "" {
			one.text("ipv4_address", at.IPv4Address)
			one.text("ipv6_address", at.IPv6Address)
			d.static[name] = true
		}
		all.entry(key, one)
		plain = plain && key == "default" && len(one.Content) == 0
	}
	if !plain {
		s.part("networks", all)
	}
}

// keyOf makes a key of a Compose file of a name of Docker's.
func keyOf(name string) string {
	return strings.Trim(regexp.MustCompile(`[^A-Za-z0-9._-]+`).ReplaceAllString(name, "-"), "-")
}

// aliases are those that Compose does not give the container anyway.
func aliases(end docker.Endpoint, c inspected) []string {
	return slices.DeleteFunc(slices.Sorted(slices.Values(end.Aliases)), func(alias string) bool {
		return alias == c.Service || alias == c.Name || alias != "" && strings.HasPrefix(c.ID, alias)
	})
}

func (d *drafting) ports(s mapping, c inspected) {
	var all []string
	for port, bindings := range c.made.HostConfig.PortBindings {
		for _, b := range bindings {
			all = append(all, published(strings.TrimSuffix(port, "/tcp"), b))
		}
	}
	slices.Sort(all)
	s.texts("ports", all)
}

// published is a port as a Compose file has it: "127.0.0.1:8080:80".
func published(port string, on docker.Binding) string {
	address, number := on.HostIP, on.HostPort
	if number == "0" { // any
		number = ""
	}
	if strings.Contains(address, ":") {
		address = "[" + address + "]"
	}
	switch {
	case address != "":
		return address + ":" + number + ":" + port
	case number != "":
		return number + ":" + port
	}
	return port
}

// mounts writes what the container has mounted: the same data, also of a volume without a name of its own.
func (d *drafting) mounts(s mapping, c inspected) {
	list, tmpfs := []*yamldoc.Node{}, []string{}
	for _, m := range slices.SortedFunc(slices.Values(c.made.Mounts), func(a, b docker.Mounted) int { return strings.Compare(a.Destination, b.Destination) }) {
		switch m.Type {
		case "tmpfs":
			tmpfs = append(tmpfs, m.Destination)
		case "volume":
			list = append(list, mountNode("volume", d.volume(m, c.Service), m, false))
		case "bind":
			_, err := os.Lstat(d.host.Root + m.Source)
			if err != nil {
				d.lacks("%s: %s is not on the host any more; the container may still have it at %s", c.Service, m.Source, m.Destination)
			}
			list = append(list, mountNode("bind", m.Source, m, err != nil))
		default:
			d.lacks("%s: a mount of type %s at %s", c.Service, m.Type, m.Destination)
		}
	}
	for _, target := range slices.Sorted(maps.Keys(c.made.HostConfig.Tmpfs)) {
		tmpfs = append(tmpfs, strings.TrimSuffix(target+":"+c.made.HostConfig.Tmpfs[target], ":"))
	}
	if len(list) > 0 {
		s.entry("volumes", mapping{yamldoc.NewList(list...)})
	}
	s.texts("tmpfs", tmpfs)
	if len(c.made.HostConfig.VolumesFrom) > 0 {
		d.lacks("%s: that it got mounts by volumes_from: they are listed as its own", c.Service)
	}
}

// volume returns what the draft calls a volume.
func (d *drafting) volume(m docker.Mounted, service string) string {
	switch own := d.ownVolumes[m.Name]; {
	case own.Key() != "":
		return called(d.volumes, m.Name, own.Key())
	case m.Anonymous():
		return called(d.volumes, m.Name, keyOf(service+"-"+strings.Trim(m.Destination, "/")))
	}
	return called(d.volumes, m.Name, m.Name)
}

// mountNode is a mount in its short form, where that can say it. The engine makes an empty
// folder of a source that is not there, so such a one is not to be made.
func mountNode(kind, source string, m docker.Mounted, missing bool) *yamldoc.Node {
	moves := m.Propagation != "" && m.Propagation != "rprivate"
	if !strings.Contains(source+m.Destination, ":") && !moves && !missing && path.IsAbs(m.Destination) {
		written := source + ":" + m.Destination
		if !m.RW {
			written += ":ro"
		}
		return literal(written)
	}
	one, of := newMapping(), newMapping()
	one.text("type", kind)
	one.text("source", source)
	one.text("target", m.Destination)
	one.truth("read_only", !m.RW)
	if moves {
		of.text("propagation", m.Propagation)
	}
	if missing {
		yamldoc.SetEntry(of.Node, "create_host_path", yamldoc.NewBool(false))
	}
	one.part("bind", of)
	return one.Node
}

// needs writes which services come first, of those that there are.
func (d *drafting) needs(s mapping, c inspected) {
	all := newMapping()
	for _, n := range c.made.Needs() {
		if !slices.ContainsFunc(d.made, func(o inspected) bool { return o.Service == n.Service }) {
			d.lacks("%s: service %s, which it needs: no container of it is here", c.Service, n.Service)
			continue
		}
		one := newMapping()
		one.text("condition", n.Condition)
		one.truth("restart", n.Restart)
		all.entry(n.Service, one)
	}
	s.part("depends_on", all)
}

func (d *drafting) health(s mapping, c inspected) {
	check, given, one := c.made.Config.Healthcheck, c.image.Healthcheck, newMapping()
	if slices.Equal(check.Test, []string{"NONE"}) {
		one.truth("disable", true)
		s.entry("healthcheck", one)
		return
	}
	if !slices.Equal(check.Test, given.Test) {
		one.texts("test", check.Test)
	}
	for _, each := range []struct {
		key       string
		was, with time.Duration
	}{{"interval", check.Interval, given.Interval}, {"timeout", check.Timeout, given.Timeout}, {"start_period", check.StartPeriod, given.StartPeriod}} {
		if each.was != each.with && each.was > 0 {
			one.text(each.key, each.was.String())
		}
	}
	if check.Retries != given.Retries {
		one.number("retries", int64(check.Retries))
	}
	s.part("healthcheck", one)
}

// rights writes what the container may do on its host.
func (d *drafting) rights(s mapping, c inspected) {
	h := c.made.HostConfig
	s.truth("privileged", h.Privileged)
	s.truth("read_only", h.ReadonlyRootfs)
	s.texts("cap_add", h.CapAdd)
	s.texts("cap_drop", h.CapDrop)
	s.texts("group_add", h.GroupAdd)
	security := slices.DeleteFunc(slices.Clone(h.SecurityOpt), func(o string) bool {
		return o == "label=disable" && (h.Privileged || h.PidMode == "host" || h.IpcMode == "host") // the engine's own
	})
	s.texts("security_opt", security)
	var devices []string
	for _, v := range h.Devices {
		devices = append(devices, v.PathOnHost+":"+v.PathInContainer+":"+v.CgroupPermissions)
	}
	s.texts("devices", devices)
	s.texts("device_cgroup_rules", h.DeviceCgroupRules)
	if len(h.DeviceRequests) > 0 {
		d.lacks("%s: the devices that it asks a driver for, such as a GPU", c.Service)
	}
	for key, mode := range map[string]string{"pid": h.PidMode, "ipc": h.IpcMode} {
		id, of := strings.CutPrefix(mode, "container:")
		switch {
		case of && d.ids[id] != "":
			s.text(key, "service:"+d.ids[id])
		case of:
			d.lacks("%s: the container with which it shares %s (%.12s)", c.Service, key, id)
		case mode == "host" || key == "ipc" && mode == "shareable":
			s.text(key, mode)
		}
	}
	s.text("uts", h.UTSMode)
	s.text("userns_mode", h.UsernsMode)
	if h.Runtime != "runc" {
		s.text("runtime", h.Runtime)
	}
	s.texts("extra_hosts", slices.Sorted(slices.Values(h.ExtraHosts)))
	s.texts("dns", h.DNS)
	s.texts("dns_search", h.DNSSearch)
	s.texts("dns_opt", h.DNSOptions)
	s.pairs("sysctls", h.Sysctls)
	if len(h.Links) > 0 {
		d.lacks("%s: its links", c.Service)
	}
}

const defaultShm = 64 << 20 // the engine's

// limits writes what the container may use, and where its output goes.
func (d *drafting) limits(s mapping, c inspected) {
	h, ulimits := c.made.HostConfig, newMapping()
	for _, u := range h.Ulimits {
		one := newMapping()
		one.number("soft", u.Soft)
		one.number("hard", u.Hard)
		ulimits.part(u.Name, one)
	}
	s.part("ulimits", ulimits)
	if h.ShmSize != defaultShm {
		s.number("shm_size", h.ShmSize)
	}
	s.number("mem_limit", h.Memory)
	s.number("mem_reservation", h.MemoryReservation)
	if h.MemorySwap != 2*h.Memory {
		s.number("memswap_limit", h.MemorySwap)
	}
	if h.NanoCPUs > 0 {
		s.text("cpus", strconv.FormatFloat(float64(h.NanoCPUs)/1e9, 'f', -1, 64))
	}
	s.number("cpu_shares", h.CPUShares)
	s.text("cpuset", h.CPUsetCPUs)
	if h.PidsLimit != nil && *h.PidsLimit > 0 {
		s.number("pids_limit", *h.PidsLimit)
	}
	s.number("oom_score_adj", int64(h.OomScoreAdj))
	if h.LogConfig.Type != "json-file" || len(h.LogConfig.Config) > 0 {
		logging := newMapping()
		logging.text("driver", h.LogConfig.Type)
		logging.pairs("options", h.LogConfig.Config)
		s.part("logging", logging)
	}
}
