package twin

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"

	"salvor/internal/agent"
	"salvor/internal/deploy"
	"salvor/internal/fleet"
	"salvor/internal/hostapp"
	"salvor/internal/hostlink"
	"salvor/internal/machine"
	"salvor/internal/progress"
	"salvor/internal/version"
)

func randText() string { return rand.Text() }

// A dialer reaches hosts over links that can be cut. It implements deploy.Dialer.
type dialer struct {
	w *world
	p *process // the operator's
}

var _ deploy.Dialer = (*dialer)(nil)

// Dial implements deploy.Dialer.
func (d *dialer) Dial(ctx context.Context, h fleet.Host) (*hostlink.Link, error) {
	if err := d.p.edge(ctx, "dial "+h.Name); err != nil {
		return nil, err
	}
	m := &link{w: d.w, p: d.p, host: d.w.host(h.Name)}
	if !m.up() {
		return nil, d.w.silence(ctx, fmt.Errorf("%s: %w", h.Name, machine.ErrUnreachable))
	}
	return &hostlink.Link{Host: h.Name, Machine: m, Carrier: carrier{}, Sink: progress.Discard()}, nil
}

type carrier struct{}

// Version implements hostlink.Carrier.
func (carrier) Version() string { return version.String() }

// Open implements hostlink.Carrier.
func (carrier) Open(string) (io.ReadCloser, error) { return nil, errors.ErrUnsupported }

// A link is an operator's way to a host, on which salvord's verbs are started.
type link struct {
	w    *world
	p    *process
	host *host
	end  context.CancelCauseFunc
}

func (l *link) up() bool {
	l.w.mu.Lock()
	cut := l.w.cut[l.host.name]
	l.w.mu.Unlock()
	return !cut && l.host.powered()
}

// Run implements machine.Machine: `salvord VERB` and nothing else.
func (l *link) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	if err := l.p.edge(ctx, "call "+l.host.name+" "+c.Argv[1]); err != nil {
		return machine.Output{}, err
	}
	if !l.up() {
		return machine.Output{}, l.w.silence(ctx, machine.ErrUnreachable)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	one := &link{w: l.w, p: l.p, host: l.host, end: cancel}
	l.w.mu.Lock()
	l.w.links[one] = true
	l.w.mu.Unlock()
	code := 0
	p, err := l.host.spawn(ctx, c.Argv[1], func(ctx context.Context, p *process, a *agent.Host) {
		code = hostapp.Serve(ctx, a, c.Argv[1], c.Stdin, &heard{ctx, p, c.Stdout}, io.Discard)
	})
	if err != nil {
		return machine.Output{}, machine.ErrUnreachable
	}
	<-p.done
	l.w.mu.Lock()
	delete(l.w.links, one)
	l.w.mu.Unlock()
	switch {
	case p.killed(), ctx.Err() != nil:
		return machine.Output{}, cmp.Or(context.Cause(ctx), machine.ErrUnreachable)
	case code != 0:
		return machine.Output{}, &machine.ExitError{Argv: c.Argv, Code: code}
	}
	return machine.Output{}, l.p.edge(ctx, "answered")
}

// heard passes on what a process says while it lives and the link is there.
type heard struct {
	ctx context.Context // of the process
	p   *process
	to  io.Writer
}

// Write implements io.Writer.
func (h *heard) Write(text []byte) (int, error) {
	if h.ctx.Err() != nil || h.p.killed() {
		return len(text), nil
	}
	return h.to.Write(text)
}

// ReadFile implements machine.Machine.
func (l *link) ReadFile(context.Context, string) ([]byte, error) { return nil, errors.ErrUnsupported }

// WriteFile implements machine.Machine.
func (l *link) WriteFile(context.Context, string, io.Reader, fs.FileMode) error {
	return errors.ErrUnsupported
}

// Dial implements machine.Machine.
func (l *link) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}

// Close implements machine.Machine.
func (l *link) Close() error { return nil }
