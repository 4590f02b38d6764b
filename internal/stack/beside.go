package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"go.yaml.in/yaml/v3"

	"salvor/internal/progress"
)

// A Beside is one service of a stack run on its own, on other data: how a
// database is restored next to the one that runs, and tried.
type Beside struct {
	Stack   string
	Service string
	Compose []byte            // the stack's rendered project
	Images  map[string]string // pins
	Mounts  map[string]string // where the service has a volume, to the host folder it gets instead
	Run     string            // distinguishes projects that run at the same time; "" for none
}

// Name is the project's name: "salvor-restore-<stack>".
func (b Beside) Name() string {
	name := "salvor-restore-" + b.Stack
	if b.Run != "" {
		name += "-" + b.Run
	}
	return name
}

// Render returns the project: the one service without what ties it to others or
// to the outside (ports, networks, dependencies, labels, names, restarts, the
// gate), on the replaced folders. Of its other mounts only read-only binds stay,
// so nothing that the stack owns can be written. The network is none; a database
// is spoken to through Exec.
func (b Beside) Render() ([]byte, error) {
	pinned, err := Pin(b.Compose, b.Images)
	if err != nil {
		return nil, err
	}
	doc, err := parseProject(pinned)
	if err != nil {
		return nil, err
	}
	service := entry(entry(doc, "services"), b.Service)
	if service == nil || service.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("stack %s has no service %s", b.Stack, b.Service)
	}
	volumes, err := b.volumes(entry(service, "volumes"))
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"ports", "expose", "networks", "network_mode", "depends_on", "links", "external_links", "labels", "container_name",
		"hostname", "mac_address", "restart", "profiles", "deploy", "scale", "configs", "pid", "ipc", "volumes_from", "volumes", "build", "develop"} {
		drop(service, key)
	}
	set(service, "network_mode", text("none"))
	set(service, "volumes", volumes)
	if entry(service, "image") == nil {
		set(service, "image", text(b.Stack+"-"+b.Service))
	}
	return encodeProject(mapping("name", text(b.Name()), "services", mapping(b.Service, service)))
}

func (b Beside) volumes(list *yaml.Node) (*yaml.Node, error) {
	kept := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	replaced := map[string]bool{}
	for _, v := range items(list) {
		target := value(v, "target")
		folder, replace := b.Mounts[target]
		switch {
		case replace:
			replaced[target] = true
			kept.Content = append(kept.Content, mapping("type", text("bind"), "source", text(folder), "target", text(target),
				"bind", mapping("create_host_path", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "false"})))
		case target != GateTarget && value(v, "type") == "bind" && value(v, "read_only") == "true":
			kept.Content = append(kept.Content, v)
		}
	}
	for target := range b.Mounts {
		if !replaced[target] {
			return nil, fmt.Errorf("service %s of stack %s has nothing mounted at %s", b.Service, b.Stack, target)
		}
	}
	return kept, nil
}

// StartBeside runs the project in dir, a folder of the caller's, and waits until
// it is healthy. Secrets of the stack must be delivered.
func (h *Host) StartBeside(ctx context.Context, b Beside, dir string, sink progress.Sink) error {
	content, err := b.Render()
	if err != nil {
		return err
	}
	// files from Git are bound relative to the project's folder
	project := ProjectDir(b.Stack)
	if r, ok, err := h.Deployed(ctx, b.Stack); err != nil {
		return err
	} else if ok {
		project = r.Dir
	}
	file := path.Join(dir, ComposeFile)
	if err := h.run(ctx, "mkdir", "-p", "--", dir); err != nil {
		return err
	}
	if err := h.machine.WriteFile(ctx, file, bytes.NewReader(content), 0o600); err != nil {
		return err
	}
	done := progress.Scope{Sink: sink, Stack: b.Stack}.Step("start "+b.Service+" beside", "")
	err = h.upBeside(ctx, b, project, file)
	done(err, "")
	return err
}

func (h *Host) upBeside(ctx context.Context, b Beside, project, file string) error {
	err := h.named(ctx, call{stack: b.Name(), args: []string{"--project-directory", project, "--file", file, "up", "--detach", "--no-build", "--pull", "missing", "--quiet-pull"}})
	if err != nil && ctx.Err() == nil {
		return h.failure(ctx, b.Name(), err.Error())
	}
	if err != nil {
		return err
	}
	return h.waitHealthy(ctx, Deployment{Stack: b.Name()})
}

// EndBeside removes the project's container and folder. It may be called twice,
// and when StartBeside went wrong.
func (h *Host) EndBeside(ctx context.Context, b Beside, dir string) error {
	return errors.Join(h.verb(ctx, b.Name(), "down", "--remove-orphans"), h.run(ctx, "rm", "-rf", "--", path.Join(dir, ComposeFile)))
}

func text(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}

// mapping makes a mapping of keys (strings) and values (nodes) in turn.
func mapping(pairs ...any) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(pairs); i += 2 {
		m.Content = append(m.Content, text(pairs[i].(string)), pairs[i+1].(*yaml.Node))
	}
	return m
}

func set(m *yaml.Node, key string, v *yaml.Node) {
	drop(m, key)
	m.Content = append(m.Content, text(key), v)
}

func drop(m *yaml.Node, key string) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content = slices.Delete(m.Content, i, i+2)
			return
		}
	}
}

func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

func value(n *yaml.Node, key string) string {
	if v := entry(n, key); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}
