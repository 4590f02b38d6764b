package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"salvor/internal/hostpath"
	"salvor/internal/machine"
	"salvor/internal/progress"
)

// composeByName runs `docker compose` on a project's containers by their labels: it
// works when the files are gone, which a stop must.
func (h *control) composeByName(ctx context.Context, c call) error {
	project, err := h.ProjectName(ctx, c.stack)
	if err != nil {
		return err
	}
	cmd := machine.Cmd{Argv: append([]string{"docker", "compose", "--project-name", project}, c.args...), Dir: "/",
		Stdin: c.stdin, Stdout: c.stdout, TTY: c.tty, Env: []string{"COMPOSE_PROGRESS=plain", "COMPOSE_ANSI=never"}}
	if c.stdout == nil && c.tty == nil {
		cmd.Timeout = composeTimeout
	}
	if _, err := h.machine.Run(ctx, cmd); err != nil {
		return fmt.Errorf("docker compose %s %s: %w", c.args[0], c.stack, lastLine(err))
	}
	return nil
}

func (h *control) verb(ctx context.Context, stack string, args ...string) error {
	return h.composeByName(ctx, call{stack: stack, args: args})
}

// Start starts what was deployed last, in order, and waits until it is healthy.
// Nothing is pulled, built or recreated. The gate must be open. Services that were
// stopped by hand stay so, unless another one needs them.
func (h *Host) Start(ctx context.Context, stack string, byHand []string, sink progress.Sink) error {
	r, err := deployed(ctx, h, stack)
	if err != nil {
		return err
	}
	var services []string // none for all
	if len(byHand) > 0 {
		services = slices.DeleteFunc(slices.Sorted(maps.Keys(r.Services)), func(name string) bool { return slices.Contains(byHand, name) })
		if len(services) == 0 {
			return nil
		}
	}
	return start(ctx, h, r, startOf{stack, services, byHand}, sink)
}

// deployed is the record of a stack that must have one.
func deployed(ctx context.Context, h *Host, stack string) (Record, error) {
	r, ok, err := h.Deployed(ctx, stack)
	if err == nil && !ok {
		err = fmt.Errorf("stack %s was never deployed here", stack)
	}
	return r, err
}

// startOf is what is started of a stack: some services, none for all, while others
// stay stopped by hand.
type startOf struct {
	stack            string
	services, byHand []string
}

func start(ctx context.Context, h *Host, r Record, o startOf, sink progress.Sink) error {
	args := []string{"up", "--detach", "--no-build", "--pull", "never", "--no-recreate"}
	c := call{stack: o.stack, dir: r.Dir, args: append(args, o.services...)}
	return h.up(ctx, Deployment{Stack: o.stack, ByHand: o.byHand}, c, progress.Scope{Sink: sink, Stack: o.stack})
}

// Stop stops a stack's containers, each with its own grace period. Stopped ones and
// an unknown stack are fine; paused ones continue first, since a frozen process does
// not hear that it is to end.
func (h *control) Stop(ctx context.Context, stack string) error {
	if err := h.unpauseAll(ctx, stack); err != nil {
		return err
	}
	return h.verb(ctx, stack, "stop")
}

// Halt stops all of a stack's containers at once, paused ones too; what has not ended
// after grace is killed. It needs no lock: a run that starts the stack in the
// meantime has to stop it again.
func (h *control) Halt(ctx context.Context, stack string, grace time.Duration) error {
	containers, err := h.containers(ctx, stack)
	if err != nil {
		return err
	}
	args := []string{"stop", "-t", strconv.Itoa(int(grace / time.Second))}
	for _, c := range containers {
		if c.State == "running" || c.State == "paused" || c.State == "restarting" {
			args = append(args, c.ID)
		}
	}
	if len(args) == 3 {
		return nil
	}
	return h.docker(ctx, args...)
}

// Signal sends a signal ("HUP") to the main process of a service's running
// containers.
func (h *control) Signal(ctx context.Context, stack, service, signal string) error {
	containers, err := h.containers(ctx, stack)
	if err != nil {
		return err
	}
	for _, c := range containers {
		if c.Service == service && c.State == "running" && !c.OneOff {
			err = errors.Join(err, h.docker(ctx, "kill", "--signal", signal, c.ID))
		}
	}
	return err
}

// RestartServices starts services' containers again, as new ones if they are to be
// recreated, and waits until the stack is healthy. What they depend on is left
// alone, nothing is pulled or built.
func (h *Host) RestartServices(ctx context.Context, stack string, recreate bool, services ...string) error {
	r, err := deployed(ctx, h, stack)
	if err != nil {
		return err
	}
	if recreate {
		args := append([]string{"up", "--detach", "--no-build", "--pull", "never", "--no-deps", "--force-recreate"}, services...)
		err = h.compose(ctx, call{stack: stack, dir: r.Dir, args: args})
	} else {
		err = h.verb(ctx, stack, append([]string{"restart", "--no-deps"}, services...)...)
	}
	if err != nil && ctx.Err() == nil {
		err = h.failure(ctx, stack, err.Error())
	}
	if err == nil {
		err = h.waitHealthy(ctx, Deployment{Stack: stack})
	}
	return err
}

// Down removes a stack's containers and networks. Volumes, files and the record
// stay.
func (h *control) Down(ctx context.Context, stack string) error {
	return h.verb(ctx, stack, "down", "--remove-orphans")
}

// Create makes what a deployment needs before its data is there: images, files,
// networks, volumes and containers, none of them started. What exists stays.
// The engine wants every bind to exist, so the gate is open for the moment.
func (h *Host) Create(ctx context.Context, d Deployment, sink progress.Sink) error {
	images, cleanup, err := h.prepare(ctx, d, progress.Scope{Sink: sink, Stack: d.Stack})
	if err == nil {
		err = h.write(ctx, d.Stack, d.Project, images)
	}
	if err == nil {
		err = h.create(ctx, d)
	}
	return errors.Join(err, cleanup(context.WithoutCancel(ctx)))
}

func (h *control) create(ctx context.Context, d Deployment) error {
	err := h.run(ctx, "test", "-d", hostpath.Default().Gate(d.Stack))
	wasOpen := err == nil
	if err := h.OpenGate(ctx, d.Stack); err != nil {
		return err
	}
	if err := h.ensureVolumes(ctx, d.Project.Volumes); err != nil {
		return err
	}
	c := call{stack: d.Stack, dir: d.Project.Dir, login: len(d.Logins) > 0}
	err = h.compose(ctx, c.with("create", "--no-build", "--no-recreate", "--pull", "missing"))
	if !wasOpen {
		err = errors.Join(err, h.CloseGate(context.WithoutCancel(ctx), d.Stack))
	}
	return err
}

// LogOptions choose what Logs shows.
type LogOptions struct {
	Services   []string // none for all
	Follow     bool
	Tail       int    // lines, 0 for all
	Since      string // a time, or how long ago; "" for all
	Timestamps bool
}

// Logs writes a stack's logs to w, until ctx ends when following.
func (h *control) Logs(ctx context.Context, stack string, w io.Writer, opts LogOptions) error {
	args := []string{"logs", "--no-color"}
	if opts.Follow {
		args = append(args, "--follow")
	}
	if opts.Timestamps {
		args = append(args, "--timestamps")
	}
	if opts.Since != "" {
		args = append(args, "--since", opts.Since)
	}
	if opts.Tail > 0 {
		args = append(args, "--tail", strconv.Itoa(opts.Tail))
	}
	return h.composeByName(ctx, call{stack: stack, args: append(args, opts.Services...), stdout: cleanLines(w)})
}

// clearLine is what Docker Compose writes before each line of a log, for the
// progress that it draws on terminals, also where there is none.
const clearLine = "\x1b[2K"

// cleanLines returns a writer that hands lines on to w without clearLine before them.
func cleanLines(w io.Writer) io.Writer { return &lineCleaner{w: w, begun: true} }

type lineCleaner struct {
	w     io.Writer
	begun bool // the next byte begins a line
	held  []byte
}

// Write implements io.Writer.
func (c *lineCleaner) Write(p []byte) (int, error) {
	var out []byte
	for _, b := range p {
		switch {
		case c.begun && clearLine[len(c.held)] == b:
			if c.held = append(c.held, b); len(c.held) == len(clearLine) {
				c.held = c.held[:0]
			}
			continue
		case len(c.held) > 0:
			out, c.held = append(out, c.held...), c.held[:0]
		}
		out, c.begun = append(out, b), b == '\n'
	}
	_, err := c.w.Write(out)
	return len(p), err
}

func (h *control) tail(ctx context.Context, stack, service string, lines int) ([]string, error) {
	var out bytes.Buffer
	args := []string{"logs", "--no-color", "--no-log-prefix", "--tail", strconv.Itoa(lines), service}
	if err := h.composeByName(ctx, call{stack: stack, args: args, stdout: cleanLines(&out)}); err != nil {
		return nil, err
	}
	text := strings.TrimRight(out.String(), "\n")
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, "\n"), nil
}

// Session is a command to run in a service's container.
type Session struct {
	Service string
	User    string // "" for the image's
	Argv    []string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer    // nil: its tail is in the error
	TTY     *machine.TTY // nil: no terminal
}

// Exec runs a command in a running service. The command's own exit code is in
// the *machine.ExitError that the error wraps.
func (h *control) Exec(ctx context.Context, stack string, s Session) error {
	project, err := h.ProjectName(ctx, stack)
	if err != nil {
		return err
	}
	argv := []string{"docker", "compose", "--project-name", project, "exec"}
	if s.TTY == nil {
		argv = append(argv, "--no-TTY")
	}
	if s.User != "" {
		argv = append(argv, "--user", s.User)
	}
	argv = append(append(argv, s.Service), s.Argv...)
	if s.TTY != nil { // the user reads the reason there
		_, err := h.machine.Run(ctx, machine.Cmd{Argv: argv, Dir: "/", Stdin: s.Stdin, Stdout: s.Stdout, TTY: s.TTY})
		return err
	}
	said := machine.NewTail(s.Stdout)
	_, err = h.machine.Run(ctx, machine.Cmd{Argv: argv, Dir: "/", Stdin: s.Stdin, Stdout: said, Stderr: s.Stderr})
	return notStarted(err, said.Bytes())
}

// exitNotStarted is how docker exec ends when it could not start the command.
const exitNotStarted = 126

// notStarted moves Docker's reason for not starting a command, which it prints to
// standard output, to where an error has it.
func notStarted(err error, stdout []byte) error {
	exit, ok := errors.AsType[*machine.ExitError](err)
	if !ok || exit.Code != exitNotStarted || len(exit.Stderr) > 0 {
		return err
	}
	for _, reason := range []string{"OCI runtime exec failed: ", "unable to find user "} {
		if bytes.HasPrefix(stdout, []byte(reason)) {
			exit.Stderr = stdout
		}
	}
	return err
}
