package stack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"

	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/yamldoc"
)

// An Isolated is the image of one service of a stack, run on its own, on other data
// and with another command: how a database is restored next to the one that
// runs, and tried.
type Isolated struct {
	Stack      string
	Service    string
	Compose    []byte            // the stack's rendered project
	Images     map[string]string // pins
	MountAt    string            // where Folder appears
	Folder     string            // on the host
	User       string            // "uid:gid"
	Entrypoint []string          // in place of the image's, and of its command
	Healthy    []string          // ends with 0 once it is up
	StopSignal string            // ends it in an orderly way
	Slow       bool              // it makes way for everything else, and may use a gigabyte of memory
	Run        string            // distinguishes projects that run at the same time; "" for none
}

// Name is the project's name: "salvor-restore-<stack>-<run>", with what Compose
// allows in one.
func (i Isolated) Name() string {
	name := project.Isolated(i.Stack)
	if i.Run == "" {
		return name
	}
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, i.Run)
	if plain != i.Run { // others may come out the same
		sum := sha256.Sum256([]byte(i.Run))
		plain += "-" + hex.EncodeToString(sum[:4])
	}
	return name + "-" + plain
}

// isolatedKeeps are the keys of a service that its image may need to run at all.
// Nothing else is carried along: not what ties the service to others or to the
// outside, and no secret.
var isolatedKeeps = []string{"image", "platform", "runtime", "security_opt", "shm_size", "ulimits", "userns_mode", "group_add"}

// Render returns the project. Of the service's mounts only read-only binds stay,
// so nothing that the stack owns can be written. It has no network; a database
// is reached through Exec.
func (i Isolated) Render() ([]byte, error) {
	pinned, err := Pin(i.Compose, i.Images)
	if err != nil {
		return nil, err
	}
	doc, err := parseProject(pinned)
	if err != nil {
		return nil, err
	}
	from := yamldoc.Find(doc, "services", i.Service)
	if from == nil || !yamldoc.IsMapping(from) {
		return nil, fmt.Errorf("stack %s has no service %s", i.Stack, i.Service)
	}
	service := i.service(doc, from)
	alone, services := yamldoc.NewMapping(), yamldoc.NewMapping()
	yamldoc.SetEntry(services, i.Service, service)
	yamldoc.SetEntry(alone, "name", yamldoc.NewText(i.Name()))
	yamldoc.SetEntry(alone, "services", services)
	return yamldoc.Encode(alone)
}

// service returns the service as it runs on its own.
func (i Isolated) service(doc, from *yamldoc.Node) *yamldoc.Node {
	service := yamldoc.NewMapping()
	set := func(key string, v *yamldoc.Node) { yamldoc.SetEntry(service, key, v) }
	for _, key := range isolatedKeeps {
		if v := yamldoc.Find(from, key); v != nil {
			set(key, v)
		}
	}
	if yamldoc.Find(service, "image") == nil {
		set("image", yamldoc.NewText(yamldoc.ValueOf(yamldoc.Find(doc, "name"))+"-"+i.Service))
	}
	set("user", yamldoc.NewText(i.User))
	set("entrypoint", words(i.Entrypoint...))
	set("command", words())
	set("network_mode", yamldoc.NewText("none"))
	set("stop_signal", yamldoc.NewText(i.StopSignal))
	set("stop_grace_period", yamldoc.NewText("2m"))
	set("healthcheck", i.healthcheck())
	if i.Slow {
		set("cpu_shares", yamldoc.NewNumber("64"))
		set("oom_score_adj", yamldoc.NewNumber("900"))
		set("mem_limit", yamldoc.NewText("1g"))
	}
	set("volumes", i.volumes(yamldoc.Find(from, "volumes")))
	return service
}

func (i Isolated) healthcheck() *yamldoc.Node {
	check := yamldoc.NewMapping()
	yamldoc.SetEntry(check, "test", words(append([]string{"CMD"}, i.Healthy...)...))
	yamldoc.SetEntry(check, "interval", yamldoc.NewText("1s"))
	yamldoc.SetEntry(check, "timeout", yamldoc.NewText("10s"))
	yamldoc.SetEntry(check, "retries", yamldoc.NewNumber("600"))
	return check
}

// volumes are the folder with the data and those of the service's mounts that stay.
func (i Isolated) volumes(declared *yamldoc.Node) *yamldoc.Node {
	data, options := yamldoc.NewMapping(), yamldoc.NewMapping()
	yamldoc.SetEntry(options, "create_host_path", yamldoc.NewBool(false))
	yamldoc.SetEntry(data, "type", yamldoc.NewText("bind"))
	yamldoc.SetEntry(data, "source", yamldoc.NewText(escaped(i.Folder)))
	yamldoc.SetEntry(data, "target", yamldoc.NewText(escaped(i.MountAt)))
	yamldoc.SetEntry(data, "bind", options)
	kept := yamldoc.NewList(data)
	for _, v := range yamldoc.Items(declared) {
		value := func(key string) string { return yamldoc.ValueOf(yamldoc.Find(v, key)) }
		target := value("target")
		if target != GateTarget && target != i.MountAt && value("type") == "bind" && value("read_only") == "true" && !strings.HasPrefix(target, "/docker-entrypoint") {
			kept.Content = append(kept.Content, v)
		}
	}
	return kept
}

// StartIsolated runs the project in dir, a folder of the caller's, and waits until
// it is healthy. One of that name that a run left is removed first.
func (h *Host) StartIsolated(ctx context.Context, i Isolated, dir string, sink progress.Sink) error {
	content, err := i.Render()
	if err != nil {
		return err
	}
	// files from Git are bound relative to the project's folder
	folder := hostpath.Default().Project(i.Stack)
	if r, ok, err := h.Deployed(ctx, i.Stack); err != nil {
		return err
	} else if ok {
		folder = r.Dir
	}
	file := path.Join(dir, ComposeFile)
	if err := h.run(ctx, "mkdir", "-p", "--", dir); err != nil {
		return err
	}
	if err := h.machine.WriteFile(ctx, file, bytes.NewReader(content), 0o600); err != nil {
		return err
	}
	done := progress.Scope{Sink: sink, Stack: i.Stack}.Step("start "+i.Service+" separately", "")
	err = h.verb(ctx, i.Name(), "down", "--remove-orphans")
	if err == nil {
		err = h.upIsolated(ctx, i, folder, file)
	}
	done(err, "")
	return err
}

func (h *Host) upIsolated(ctx context.Context, i Isolated, folder, file string) error {
	err := h.composeByName(ctx, call{stack: i.Name(), args: []string{"--project-directory", folder, "--file", file, "up", "--detach", "--no-build", "--pull", "missing", "--quiet-pull"}})
	if err != nil && ctx.Err() == nil {
		return h.failure(ctx, i.Name(), err.Error())
	}
	if err != nil {
		return err
	}
	return h.waitHealthy(ctx, Deployment{Stack: i.Name()})
}

// StopIsolated removes the project's container and folder. It may be called twice,
// and when StartIsolated failed.
func (h *Host) StopIsolated(ctx context.Context, i Isolated, dir string) error {
	return errors.Join(h.verb(ctx, i.Name(), "down", "--remove-orphans"), h.run(ctx, "rm", "-rf", "--", path.Join(dir, ComposeFile)))
}

// EndIsolated removes the containers of all isolated projects, which runs that were killed
// have left. It may be called twice.
func EndIsolated(ctx context.Context, h *Host) error {
	all, err := h.engine.All(ctx)
	for _, c := range all {
		if project.IsIsolated(c.Project) {
			err = errors.Join(err, h.verb(ctx, c.Project, "down", "--remove-orphans"))
		}
	}
	return err
}

// escaped keeps Compose from interpolating a text.
func escaped(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// words is a list of texts that Compose does not interpolate.
func words(texts ...string) *yamldoc.Node {
	list := yamldoc.NewList()
	for _, t := range texts {
		list.Content = append(list.Content, yamldoc.NewText(escaped(t)))
	}
	return list
}
