package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"salvor/internal/hostpath"
	"salvor/internal/machine"
	"salvor/internal/project"
)

// A call is one `docker compose` command on a stack. Values of secrets reach
// Compose through the project's `.env`, which leads into tmpfs; registry logins
// through a configuration folder in tmpfs.
type call struct {
	stack  string
	dir    string
	login  bool
	args   []string
	stdin  io.Reader
	stdout io.Writer
	tty    *machine.TTY
}

// compose runs `docker compose`. It never says --yes: Compose would delete a volume
// whose definition changed; without a terminal it declines on its own.
func (h *control) compose(ctx context.Context, c call) error {
	project, err := h.ProjectName(ctx, c.stack)
	if err != nil {
		return err
	}
	argv := []string{"docker"}
	if c.login {
		argv = append(argv, "--config", hostpath.Default().Login(c.stack))
	}
	argv = append(argv, "compose", "--project-name", project, "--project-directory", c.dir, "--file", path.Join(c.dir, ComposeFile))
	cmd := machine.Cmd{Argv: append(argv, c.args...), Dir: c.dir, Stdin: c.stdin, Stdout: c.stdout, TTY: c.tty,
		Env: []string{"COMPOSE_PROGRESS=plain", "COMPOSE_ANSI=never", "DOCKER_CLI_HINTS=false"}}
	if c.tty == nil && c.stdout == nil {
		cmd.Timeout = composeTimeout
	}
	if _, err := h.machine.Run(ctx, cmd); err != nil {
		return fmt.Errorf("docker compose %s: %w", c.args[0], lastLine(err))
	}
	return nil
}

// lastLine makes a one-line error of what a program wrote last.
func lastLine(err error) error {
	var exit *machine.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(exit.Stderr)), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return errors.New(last)
	}
	return fmt.Errorf("exit %d", exit.Code)
}

// run runs a program for its effect.
func (h *control) run(ctx context.Context, argv ...string) error {
	_, err := h.machine.Run(ctx, machine.Command(argv...))
	return err
}

// docker runs a `docker` command for its effect.
func (h *control) docker(ctx context.Context, args ...string) error {
	_, err := h.machine.Run(ctx, machine.Command(append([]string{"docker"}, args...)...))
	if err != nil {
		return fmt.Errorf("docker %s: %w", args[0], lastLine(err))
	}
	return nil
}

// HasCompose reports whether Docker's client on a machine has the Compose plugin.
func HasCompose(ctx context.Context, m machine.Machine) (bool, error) {
	_, err := m.Run(ctx, machine.Cmd{Argv: []string{"docker", "compose", "version"}, Timeout: engineTimeout})
	var exit *machine.ExitError
	if errors.As(err, &exit) {
		return false, nil
	}
	return err == nil, err
}

// ErrRefused means that the host's own Docker Compose does not take a project.
var ErrRefused = errors.New("the host's Docker Compose rejects the project")

// Validate asks the host's own Docker Compose about a project, which it may read
// differently than we do: a version with other keys, for one. The error wraps
// ErrRefused when it does not take it. Nothing is left on the host.
func (h *Host) Validate(ctx context.Context, stack string, p project.Project) (err error) {
	made, err := h.machine.Run(ctx, machine.Command("mktemp", "-d", "-t", "salvor-validate-XXXXXX"))
	if err != nil {
		return err
	}
	p.Dir = strings.TrimSpace(string(made.Stdout))
	defer func() { err = errors.Join(err, h.run(context.WithoutCancel(ctx), "rm", "-rf", "--", p.Dir)) }()
	if err := h.writeProject(ctx, stack, p, nil); err != nil {
		return err
	}
	return h.validate(ctx, call{stack: stack, dir: p.Dir})
}

func (h *control) validate(ctx context.Context, c call) error {
	err := h.compose(ctx, c.with("config", "--quiet"))
	if err == nil || ctx.Err() != nil {
		return err
	}
	// the folder is a temporary one, or one that was not read
	return fmt.Errorf("%w: %s", ErrRefused, strings.ReplaceAll(err.Error(), c.dir+"/", ""))
}
