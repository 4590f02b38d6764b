package stacktest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/atomicfile"
	"salvor/internal/docker"
	"salvor/internal/machine"
)

// ByHand is a host on which someone started Compose projects, with its files below a
// folder of this machine: a machine whose docker program says what Compose makes of files,
// and a Docker engine that lists containers. No container runs.
type ByHand struct {
	Root       string
	Containers []Started

	volumes  []startedVolume
	networks []docker.Network
}

// Started is a container as the engine lists it.
type Started struct {
	ID              string `json:"Id"`
	Names           []string
	Image, ImageID  string
	State, Status   string
	Created         int64
	Labels          map[string]string
	Mounts          []StartedMount
	NetworkSettings struct{ Networks map[string]docker.Endpoint }

	made docker.Made // what an inspection says
}

// startedVolume is a volume as the engine lists it.
type startedVolume struct {
	docker.Volume
	Mountpoint string
}

// StartedMount is what a Started has mounted.
type StartedMount struct {
	Type, Name, Source, Destination string
	RW                              bool
}

// Up is `docker compose up` in a folder of the host, with arguments before that verb.
func (h *ByHand) Up(ctx context.Context, dir string, args ...string) error {
	at := filepath.Join(h.Root, dir)
	c := parseComposer(args, at)
	p, err := c.load(ctx)
	if err != nil {
		return err
	}
	h.make(p)
	for _, s := range p.Services {
		hash, err := hashOf(s, h.Root)
		if err != nil {
			return err
		}
		one := h.started(p, s, hash, c)
		if err := h.makeSources(one.Mounts); err != nil {
			return err
		}
		h.Containers = append(h.Containers, one)
	}
	slices.SortFunc(h.Containers, func(a, b Started) int { return cmp.Compare(a.Names[0], b.Names[0]) })
	return nil
}

// make notes the volumes and networks that Compose makes.
func (h *ByHand) make(p *types.Project) {
	for key, v := range p.Volumes {
		if !v.External {
			made := docker.Volume{Name: v.Name, Driver: "local", Options: v.DriverOpts, Labels: map[string]string{"com.docker.compose.project": p.Name, "com.docker.compose.volume": key}}
			h.volumes = append(h.volumes, startedVolume{made, dataOf(v.Name)})
		}
	}
	for key, n := range p.Networks {
		if !n.External {
			h.networks = append(h.networks, docker.Network{Name: n.Name, Driver: "bridge", Labels: map[string]string{"com.docker.compose.project": p.Name, "com.docker.compose.network": key}})
		}
	}
}

// makeSources makes the folders that Docker makes of what is not there.
func (h *ByHand) makeSources(mounts []StartedMount) error {
	for _, m := range mounts {
		at := filepath.Join(h.Root, m.Source)
		if _, err := os.Lstat(at); err == nil || strings.HasPrefix(m.Source, "/etc/") || strings.HasSuffix(m.Source, ".sock") {
			continue
		}
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// hostPath is a path of this machine as the host has it.
func (h *ByHand) hostPath(at string) string {
	return strings.TrimPrefix(at, h.Root)
}

func (h *ByHand) started(p *types.Project, s types.ServiceConfig, hash string, c composer) Started {
	labels := map[string]string{
		"com.docker.compose.depends_on": needsOf(s),
		"com.docker.compose.project":    p.Name, "com.docker.compose.service": s.Name, "com.docker.compose.config-hash": hash,
		"com.docker.compose.project.working_dir":  h.hostPath(p.WorkingDir),
		"com.docker.compose.project.config_files": h.hostPaths(p.ComposeFiles),
	}
	if len(c.envFiles) > 0 {
		labels["com.docker.compose.project.environment_file"] = h.hostPaths(c.envFiles)
	}
	name := cmp.Or(s.ContainerName, p.Name+"-"+s.Name+"-1")
	image := cmp.Or(s.Image, p.Name+"-"+s.Name)
	one := Started{
		ID: hashed([]byte(name)), Names: []string{"/" + name}, Image: image, ImageID: "sha256:" + hashed([]byte(image)),
		State: "running", Status: "Up 2 weeks", Created: 1760000000, Labels: labels,
	}
	one.NetworkSettings.Networks = map[string]docker.Endpoint{}
	for key := range s.Networks {
		one.NetworkSettings.Networks[p.Networks[key].Name] = docker.Endpoint{}
	}
	one.made = docker.Made{Image: one.ImageID, NetworkSettings: one.NetworkSettings}
	one.made.Config.Image, one.made.HostConfig.NetworkMode, one.made.HostConfig.RestartPolicy.Name = image, s.NetworkMode, s.Restart
	one.made.Config.Cmd, one.made.Config.Entrypoint, one.made.Config.Labels = s.Command, s.Entrypoint, maps.Clone(labels)
	maps.Copy(one.made.Config.Labels, s.Labels)
	one.made.HostConfig.PortBindings = map[string][]docker.Binding{}
	for _, port := range s.Ports {
		key := fmt.Sprintf("%d/%s", port.Target, port.Protocol)
		one.made.HostConfig.PortBindings[key] = append(one.made.HostConfig.PortBindings[key], docker.Binding{HostIP: port.HostIP, HostPort: port.Published})
	}
	for name, value := range s.Environment {
		one.made.Config.Env = append(one.made.Config.Env, name+"="+*cmp.Or(value, new(string)))
	}
	for _, v := range s.Volumes {
		one.Mounts = append(one.Mounts, h.mount(p, v))
	}
	for _, f := range s.Secrets {
		if file := p.Secrets[f.Source].File; file != "" {
			one.Mounts = append(one.Mounts, StartedMount{"bind", "", h.hostPath(file), cmp.Or(f.Target, "/run/secrets/"+f.Source), false})
		}
	}
	return one
}

// needsOf is the label of what a service waits for.
func needsOf(s types.ServiceConfig) string {
	var all []string
	for name, need := range s.DependsOn {
		all = append(all, fmt.Sprintf("%s:%s:%t", name, need.Condition, need.Restart))
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// inspected is what the engine says of a container alone.
func (c Started) inspected() docker.Made {
	made := c.made
	for _, m := range c.Mounts {
		made.Mounts = append(made.Mounts, docker.Mounted{Type: m.Type, Name: m.Name, Source: m.Source, Destination: m.Destination, RW: m.RW})
	}
	return made
}

func (h *ByHand) hostPaths(all []string) string {
	var there []string
	for _, p := range all {
		there = append(there, h.hostPath(p))
	}
	return strings.Join(there, ",")
}

func (h *ByHand) mount(p *types.Project, v types.ServiceVolumeConfig) StartedMount {
	if v.Type == types.VolumeTypeBind {
		return StartedMount{"bind", "", h.hostPath(v.Source), v.Target, !v.ReadOnly}
	}
	name := p.Volumes[v.Source].Name
	if v.Source == "" {
		name = hashed([]byte(p.Name + v.Target)) // as an anonymous one is called
	}
	return StartedMount{"volume", name, dataOf(name), v.Target, !v.ReadOnly}
}

func dataOf(volume string) string { return "/var/lib/docker/volumes/" + volume + "/_data" }

// Run implements machine.Machine.
func (h *ByHand) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	switch {
	case c.Argv[0] == "mkdir":
		return machine.Output{}, os.MkdirAll(c.Argv[len(c.Argv)-1], 0o700)
	case c.Argv[0] == "docker" && slices.Contains(c.Argv, "config"):
		if err := h.config(ctx, c); err != nil {
			return machine.Output{}, &machine.ExitError{Argv: c.Argv, Code: 1, Stderr: []byte(err.Error())}
		}
		return machine.Output{}, nil
	}
	return machine.Output{}, &machine.ExitError{Argv: c.Argv, Code: 127}
}

// config is `docker compose … config`, and with --hash the hash of each service.
func (h *ByHand) config(ctx context.Context, c machine.Cmd) error {
	composer := parseComposer(c.Argv[2:slices.Index(c.Argv, "config")], c.Dir)
	if c.Stdin != nil {
		content, err := io.ReadAll(c.Stdin)
		if err != nil {
			return err
		}
		composer.stdin = content
	}
	p, err := composer.load(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(c.Argv, "--hash") {
		text, err := p.MarshalYAML()
		if err == nil {
			_, err = c.Stdout.Write(bytes.ReplaceAll(text, []byte("$"), []byte("$$")))
		}
		return err
	}
	for _, name := range p.ServiceNames() {
		hash, err := hashOf(p.Services[name], h.Root)
		if err != nil {
			return err
		}
		fmt.Fprintln(c.Stdout, name, hash)
	}
	return nil
}

// ReadFile implements machine.Machine.
func (h *ByHand) ReadFile(_ context.Context, name string) ([]byte, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// WriteFile implements machine.Machine.
func (h *ByHand) WriteFile(_ context.Context, name string, content io.Reader, mode fs.FileMode) error {
	return atomicfile.Write(name, content, mode)
}

// Dial implements machine.Machine: what listens is the engine.
func (h *ByHand) Dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containers/json", func(w http.ResponseWriter, r *http.Request) { reply(w, h.listed(r.URL.Query().Get("filters"))) })
	mux.HandleFunc("GET /containers/{id}/json", func(w http.ResponseWriter, r *http.Request) {
		for _, c := range h.Containers {
			if c.ID == r.PathValue("id") {
				reply(w, c.inspected())
				return
			}
		}
		http.NotFound(w, r)
	})
	mux.HandleFunc("GET /images/", func(w http.ResponseWriter, r *http.Request) {
		id := path.Base(path.Dir(r.URL.Path))
		for _, c := range h.Containers {
			if c.ImageID == id {
				repository, _, _ := strings.Cut(c.Image, ":")
				reply(w, map[string][]string{"RepoDigests": {repository + "@" + id}})
				return
			}
		}
		http.NotFound(w, r)
	})
	mux.HandleFunc("GET /volumes", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string][]startedVolume{"Volumes": h.volumes})
	})
	mux.HandleFunc("GET /networks", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, append(slices.Clone(h.networks), docker.Network{Name: "proxy", Driver: "bridge"}))
	})
	mux.HandleFunc("GET /info", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]string{}) })
	in := connections{make(chan net.Conn, 1)}
	in.all <- far
	go http.Serve(in, mux) //nolint:errcheck,gosec // ends with the test
	return near, nil
}

// listed are the containers of the project that a filter names, all without one.
func (h *ByHand) listed(filters string) []Started {
	all := []Started{}
	for _, c := range h.Containers {
		label, _ := json.Marshal("com.docker.compose.project=" + c.Labels["com.docker.compose.project"])
		if filters == "" || strings.Contains(filters, string(label)) {
			all = append(all, c)
		}
	}
	return all
}

// Close implements machine.Machine.
func (h *ByHand) Close() error { return nil }
