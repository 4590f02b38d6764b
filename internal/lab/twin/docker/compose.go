package docker

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"

	"salvor/internal/hostpath"
	"salvor/internal/machine"
)

// Digest is the digest of the image of that name and tag.
func Digest(ref string) string {
	sum := sha256.Sum256([]byte(ref))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Run does what `docker ARGV…` does.
func (e *Engine) Run(c machine.Cmd) (machine.Output, error) {
	var err error
	switch c.Argv[1] {
	case "compose":
		err = e.compose(c.Argv)
	case "stop":
		e.stopThese(func(one *Container) bool { return slices.Contains(c.Argv, one.ID) })
	default:
		err = fmt.Errorf("docker %s is not part of this twin", c.Argv[1])
	}
	if err == nil {
		return machine.Output{}, nil
	}
	if c.Stderr != nil {
		_, _ = io.WriteString(c.Stderr, err.Error())
	}
	return machine.Output{}, &machine.ExitError{Argv: c.Argv, Code: 1, Stderr: []byte(err.Error())}
}

func (e *Engine) compose(argv []string) error {
	flag := func(name string) string {
		if i := slices.Index(argv, name); i >= 0 {
			return argv[i+1]
		}
		return ""
	}
	project, file := flag("--project-name"), path.Clean(flag("--file"))
	has := func(word string) bool { return slices.Contains(argv, word) }
	switch {
	case has("stop"):
		e.stopThese(func(c *Container) bool { return c.Project == project })
	case has("restart"):
		return e.restart(project)
	case has("up"):
		return e.up(project, file, true, has("--no-recreate"))
	case has("create"):
		return e.up(project, file, false, true)
	}
	return nil // config, pull, logs
}

func (e *Engine) stopThese(these func(*Container) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		if these(c) && c.State != "created" {
			c.State, c.Exit, c.wanted = "exited", 0, false
		}
	}
}

// restart starts what was started before, stopped or not.
func (e *Engine) restart(project string) error {
	e.mu.Lock()
	c := e.of(project)
	var err error
	var started []Container
	if c != nil && c.State != "created" {
		if err = e.start(c); err == nil {
			started = append(started, *c)
		}
	}
	e.mu.Unlock()
	e.tell(started)
	return err
}

var (
	imageLine = regexp.MustCompile(`(?m)^\s+image: (\S+)$`)
	gateLine  = regexp.MustCompile(`(?m)^\s+source: (` + hostpath.Default().Gates() + `/\S+)$`)
)

// read reads a rendered file of this twin, which has one service: its image, its gate
// and its volume, "" for none.
func read(project string, compose []byte) (image, gate string, volumes []string) {
	if m := imageLine.FindSubmatch(compose); m != nil {
		image = string(m[1])
	}
	if m := gateLine.FindSubmatch(compose); m != nil {
		gate = string(m[1])
	}
	if bytes.Contains(compose, []byte("source: data")) {
		volumes = []string{project + "_data"}
	}
	return image, gate, volumes
}

func (e *Engine) up(project, file string, start, keep bool) error {
	content, ok := e.Files.Read(file)
	if !ok {
		return fmt.Errorf("open %s: no such file or directory", file)
	}
	image, gate, volumes := read(project, content)
	e.mu.Lock()
	c := e.of(project)
	if c == nil || c.Image != image && !keep {
		e.containers = slices.DeleteFunc(e.containers, func(old *Container) bool { return old == c })
		e.made++
		c = &Container{ID: fmt.Sprintf("%012d%s", e.made, project), Project: project, Image: image, State: "created", Gate: gate, Volumes: volumes}
		e.containers = append(e.containers, c)
	}
	var started []Container
	err := e.makeVolumes(c)
	switch {
	case err != nil || !start || c.State == "running":
	case c.State == "paused":
		err = errors.New("cannot start a paused container, try unpause instead")
	default:
		if err = e.start(c); err == nil {
			started = append(started, *c)
		}
	}
	e.mu.Unlock()
	e.tell(started)
	return err
}

func (e *Engine) of(project string) *Container {
	i := slices.IndexFunc(e.containers, func(c *Container) bool { return c.Project == project })
	if i < 0 {
		return nil
	}
	return e.containers[i]
}
