package ssh

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"salvor/internal/machine"
)

// quiet is how long an output stream may stay open and silent after the
// program's end: a daemon that it started holds it.
const quiet = 2 * time.Second

// Run implements machine.Machine. At most 8 commands run at once, further ones
// wait for their turn.
func (m *Machine) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	ended := machine.Trace(ctx, m.name, c)
	out, err := m.run(ctx, c)
	ended(err)
	return out, err
}

func (m *Machine) run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	if err := c.Check(); err != nil {
		return machine.Output{}, err
	}
	ctx, cancel := c.WithTimeout(ctx)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	line, err := m.launch(c)
	if err != nil {
		return machine.Output{}, err
	}
	s, err := m.turn(ctx)
	if err != nil {
		return machine.Output{}, fmt.Errorf("%s: %w", c.Argv[0], err)
	}
	defer func() { go s.channel.Close() }() // on a dead connection, closing waits as well
	r := running{m: m, s: s, cmd: c, out: newAnnounced(s.channel), stdout: machine.NewCollector(c.Stdout), stderr: machine.NewTail(c.Stderr)}
	if err := r.start(line, fail); err != nil {
		return machine.Output{}, m.lost(err)
	}
	return r.wait(ctx)
}

// turn waits for a free slot and opens a session, which gives the slot back
// when both sides have closed it.
func (m *Machine) turn(ctx context.Context) (*session, error) {
	select {
	case m.slots <- struct{}{}:
	case <-m.done:
		return nil, m.lost(m.why)
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", m.name, context.Cause(ctx))
	}
	s, err := m.open(ctx)
	if err != nil {
		<-m.slots
		return nil, err
	}
	go func() {
		<-s.closed
		<-m.slots
	}()
	return s, nil
}

// running is one command on its way.
type running struct {
	m      *Machine
	s      *session
	cmd    machine.Cmd
	out    *announced
	stdout *machine.Collector
	stderr *machine.Tail
	flows  []*machine.Flow
}

func (r *running) start(line string, fail func(error)) error {
	if tty := r.cmd.TTY; tty != nil {
		if err := r.s.terminal(tty, cmp.Or(tty.Term, "xterm")); err != nil {
			return err
		}
		go r.s.resize(tty.Resize)
	}
	if err := r.s.exec(line); err != nil {
		return err
	}
	if r.cmd.Stdin != nil {
		go r.s.feed(r.cmd.Stdin, r.cmd.TTY == nil, fail)
	}
	r.flows = []*machine.Flow{
		machine.Copy(r.stdout, r.out, fail),
		machine.Copy(r.stderr, r.s.channel.Stderr(), fail),
	}
	return nil
}

// wait returns when the command and its process group have ended, or when
// nothing can be heard of them any more.
func (r *running) wait(ctx context.Context) (machine.Output, error) {
	select {
	case <-r.s.ended:
	case <-ctx.Done():
		if !r.stop() {
			return machine.Output{}, r.interrupted(ctx) // the output may still be on its way
		}
	}
	if r.started() {
		go r.m.warden.tell("end " + r.out.group + " " + r.out.program)
	}
	for _, f := range r.flows {
		if !f.Drain(quiet) {
			r.s.channel.Close()
			f.Drain(quiet)
		}
	}
	return machine.Output{Stdout: r.stdout.Bytes(), Stderr: r.stderr.Bytes()}, r.verdict(ctx)
}

// stop ends the command on the far side and reports whether it has ended. On a
// connection that no longer carries anything, the other side notices on its own.
func (r *running) stop() bool {
	patience := time.NewTimer(machine.Grace + quiet)
	defer patience.Stop()
	select {
	case <-r.out.known:
		go r.m.warden.tell("stop " + r.out.group + " " + r.out.program)
	case <-patience.C:
		return false
	}
	select {
	case <-r.s.ended:
		return true
	case <-patience.C:
		return false
	}
}

func (r *running) interrupted(ctx context.Context) error {
	return fmt.Errorf("%s on %s: %w", r.cmd.Argv[0], r.m.name, context.Cause(ctx))
}

func (r *running) verdict(ctx context.Context) error {
	switch s := r.s; {
	case ctx.Err() != nil:
		return r.interrupted(ctx)
	case !s.said:
		return r.m.lost(fmt.Errorf("%s did not end", r.cmd.Argv[0]))
	case !r.started():
		said := strings.TrimSpace(string(r.stderr.Bytes()))
		return fmt.Errorf("%s on %s did not start: %s", r.cmd.Argv[0], r.m.name, lastLine(said))
	case s.code != 0:
		return &machine.ExitError{Argv: r.cmd.Argv, Code: s.code, Signal: s.signal, Stderr: r.stderr.Bytes()}
	default:
		return nil
	}
}

// started reports whether the launcher got as far as the program. It waits for
// the launcher's line: how a quick program ended may be known before that.
func (r *running) started() bool {
	<-r.out.known
	return r.out.group != ""
}
