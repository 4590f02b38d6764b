package stacktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"salvor/internal/machine/machinetest"
)

// compose is `docker compose`: what it does with a project's containers.
func (e *Engine) compose(_ context.Context, p machinetest.Process) int {
	at := func(flag string) string {
		if i := slices.Index(p.Argv, flag); i >= 0 {
			return p.Argv[i+1]
		}
		return ""
	}
	project, file := at("--project-name"), at("--file")
	named := func(verb string) func(service string) bool { return namedBehind(p.Argv, verb) }
	switch {
	case slices.Contains(p.Argv, "config") && !slices.Contains(p.Argv, "--quiet"):
		return e.config(p, file)
	case slices.Contains(p.Argv, "version"):
		fmt.Fprintln(p.Stdout, Version)
	case slices.Contains(p.Argv, "stop"):
		e.stop(project, named("stop"))
	case slices.Contains(p.Argv, "restart"):
		e.restart(project, named("restart"))
	case slices.Contains(p.Argv, "up"):
		return e.up(p, project, file, "running", named("up"))
	case slices.Contains(p.Argv, "down"):
		e.remove(project, func(string) bool { return true })
	case slices.Contains(p.Argv, "create"):
		return e.up(p, project, file, "created", named("create"))
	}
	return 0
}

// config prints a project as it is, or the hash of each service, which is its image.
func (e *Engine) config(p machinetest.Process, file string) int {
	content := e.Files()[path.Clean(file)].Content
	if file == "-" {
		content, _ = io.ReadAll(p.Stdin)
	}
	if !slices.Contains(p.Argv, "--hash") {
		_, _ = p.Stdout.Write(content)
		return 0
	}
	services, err := servicesOf(content)
	for name, image := range services {
		fmt.Fprintln(p.Stdout, name, image)
	}
	if err != nil {
		return 1
	}
	return 0
}

// namedBehind tells the services that a command is about: those named behind its verb,
// all where there are none.
func namedBehind(argv []string, verb string) func(service string) bool {
	var names []string
	value := false
	for _, arg := range argv[slices.Index(argv, verb)+1:] {
		if !strings.HasPrefix(arg, "-") && !value {
			names = append(names, arg)
		}
		value = arg == "--pull" || arg == "--tail"
	}
	return func(service string) bool { return len(names) == 0 || slices.Contains(names, service) }
}

// stop ends containers as a signal does that they do not handle.
func (e *Engine) stop(project string, these func(service string) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		if c.Project == project && these(c.Service) && c.State != "created" {
			c.State, c.Exit = "exited", e.Ends
		}
	}
}

func (e *Engine) restart(project string, these func(service string) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		if c.Project == project && these(c.Service) {
			e.start(c)
		}
	}
}

func (e *Engine) up(p machinetest.Process, project, file, state string, these func(service string) bool) int {
	content := e.Files()[path.Clean(file)].Content
	services, err := servicesOf(content)
	if err == nil {
		err = e.lacks(content)
	}
	networks, more := networksOf(content)
	err = errors.Join(err, more)
	if err != nil {
		fmt.Fprintln(p.Stderr, err)
		return 1
	}
	if slices.Contains(p.Argv, "--remove-orphans") {
		e.remove(project, func(name string) bool { _, known := services[name]; return !known })
	}
	maps.DeleteFunc(services, func(name, _ string) bool { return !these(name) })
	e.mu.Lock()
	defer e.mu.Unlock()
	gated := strings.HasPrefix(file, "/var/lib/salvor/")
	for _, name := range slices.Sorted(maps.Keys(services)) {
		c := e.of(project, name)
		if c == nil || (c.Image != services[name] || c.Gated != gated) && !slices.Contains(p.Argv, "--no-recreate") {
			e.containers = slices.DeleteFunc(e.containers, func(old *Container) bool { return old == c })
			c = e.add(Container{Project: project, Service: name, Image: services[name], State: "created", Gated: gated})
			for _, network := range networks[name] {
				c.join(network, name)
			}
		}
		if c.State == "paused" {
			fmt.Fprintln(p.Stderr, "cannot start a paused container, try unpause instead")
			return 1
		}
		if state == "running" && c.State != "running" {
			e.start(c)
		}
	}
	return 0
}

// remove removes containers of a project.
func (e *Engine) remove(project string, these func(service string) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.containers = slices.DeleteFunc(e.containers, func(c *Container) bool { return c.Project == project && these(c.Service) })
}

func (e *Engine) start(c *Container) {
	c.State, c.Exit = "running", 0
	if e.OnStart == nil {
		return
	}
	if code := e.OnStart(*c); code >= 0 {
		c.State, c.Exit = "exited", code
	}
}

func (e *Engine) of(project, service string) *Container {
	for _, c := range e.containers {
		if c.Project == project && c.Service == service {
			return c
		}
	}
	return nil
}

// servicesOf returns the images of a Compose file's services.
func servicesOf(compose []byte) (map[string]string, error) {
	var file struct {
		Services map[string]struct{ Image string }
	}
	err := yaml.Unmarshal(compose, &file)
	images := map[string]string{}
	for name, s := range file.Services {
		images[name] = s.Image
	}
	return images, err
}
