package stack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"salvor/internal/hostpath"
	"salvor/internal/progress"
)

// A Beside is the image of one service of a stack, run on its own, on other data
// and with another command: how a database is restored next to the one that
// runs, and tried.
type Beside struct {
	Stack      string
	Service    string
	Compose    []byte            // the stack's rendered project
	Images     map[string]string // pins
	MountAt    string            // where Folder appears
	Folder     string            // on the host
	User       string            // "uid:gid"
	Entrypoint []string          // in place of the image's, and of its command
	Healthy    []string          // ends with 0 once it is up
	Slow       bool              // it makes way for everything else, and may use a gigabyte of memory
	Run        string            // distinguishes projects that run at the same time; "" for none
}

// Name is the project's name: "salvor-restore-<stack>-<run>", with what Compose
// allows in one.
func (b Beside) Name() string {
	name := "salvor-restore-" + b.Stack
	if b.Run == "" {
		return name
	}
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, b.Run)
	if plain != b.Run { // others may come out the same
		sum := sha256.Sum256([]byte(b.Run))
		plain += "-" + hex.EncodeToString(sum[:4])
	}
	return name + "-" + plain
}

// besideKeeps are the keys of a service that its image may need to run at all.
// Nothing else is carried along: not what ties the service to others or to the
// outside, and no secret.
var besideKeeps = []string{"image", "platform", "runtime", "security_opt", "shm_size", "ulimits", "userns_mode", "group_add"}

// Render returns the project. Of the service's mounts only read-only binds stay,
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
	from := entry(entry(doc, "services"), b.Service)
	if from == nil || from.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("stack %s has no service %s", b.Stack, b.Service)
	}
	service := mapping()
	for _, key := range besideKeeps {
		if v := entry(from, key); v != nil {
			set(service, key, v)
		}
	}
	if entry(service, "image") == nil {
		set(service, "image", text(b.Stack+"-"+b.Service))
	}
	set(service, "user", text(b.User))
	set(service, "entrypoint", list(b.Entrypoint...))
	set(service, "command", list())
	set(service, "network_mode", text("none"))
	set(service, "stop_signal", text("SIGINT")) // of Postgres: at once, in order
	set(service, "stop_grace_period", text("2m"))
	set(service, "healthcheck", mapping("test", list(append([]string{"CMD"}, b.Healthy...)...), "interval", text("1s"), "timeout", text("10s"), "retries", number("600")))
	if b.Slow {
		set(service, "cpu_shares", number("64"))
		set(service, "oom_score_adj", number("900"))
		set(service, "mem_limit", text("1g"))
	}
	set(service, "volumes", b.volumes(entry(from, "volumes")))
	return encodeProject(mapping("name", text(b.Name()), "services", mapping(b.Service, service)))
}

func (b Beside) volumes(declared *yaml.Node) *yaml.Node {
	kept := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	kept.Content = append(kept.Content, mapping("type", text("bind"), "source", text(escaped(b.Folder)), "target", text(escaped(b.MountAt)),
		"bind", mapping("create_host_path", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "false"})))
	for _, v := range items(declared) {
		target := value(v, "target")
		if target != GateTarget && target != b.MountAt && value(v, "type") == "bind" && value(v, "read_only") == "true" && !strings.HasPrefix(target, "/docker-entrypoint") {
			kept.Content = append(kept.Content, v)
		}
	}
	return kept
}

// StartBeside runs the project in dir, a folder of the caller's, and waits until
// it is healthy. One of that name that a run left is removed first.
func (h *Host) StartBeside(ctx context.Context, b Beside, dir string, sink progress.Sink) error {
	content, err := b.Render()
	if err != nil {
		return err
	}
	// files from Git are bound relative to the project's folder
	project := hostpath.Default().Project(b.Stack)
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
	err = h.verb(ctx, b.Name(), "down", "--remove-orphans")
	if err == nil {
		err = h.upBeside(ctx, b, project, file)
	}
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

// escaped keeps Compose from interpolating a text.
func escaped(s string) string { return strings.ReplaceAll(s, "$", "$$") }

func list(elements ...string) *yaml.Node {
	l := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, e := range elements {
		l.Content = append(l.Content, text(escaped(e)))
	}
	return l
}

func number(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: s}
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
