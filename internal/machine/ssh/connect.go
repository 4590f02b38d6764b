package ssh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"salvor/internal/fault"
	"salvor/internal/machine"
)

// dialer opens TCP connections, from here or from a jump host.
type dialer interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// connectVia connects to o, through its jump host where it has one; that
// connection is returned as well and has to be closed after the first.
func connectVia(ctx context.Context, o Options) (client, jump *ssh.Client, err error) {
	if o.Jump == nil {
		client, err = connect(ctx, o, &net.Dialer{})
		return client, nil, err
	}
	if o.Jump.Jump != nil {
		return nil, nil, fmt.Errorf("%s: its jump host has a jump host itself", o.Name)
	}
	if jump, err = connect(ctx, *o.Jump, &net.Dialer{}); err != nil {
		return nil, nil, because(0, fmt.Errorf("%s: jump host: %w", o.Name, err)) // it is another host that denies
	}
	if client, err = connect(ctx, o, jump); err != nil {
		return nil, nil, errors.Join(err, jump.Close())
	}
	return client, jump, nil
}

// connect does the handshake and proves both sides. Keys that are more than a host lets one connection try are tried
// over several.
func connect(ctx context.Context, o Options, via dialer) (*ssh.Client, error) {
	offered := &offer{}
	client, err := connectOnce(ctx, o, via, offered)
	for offered.next(err) {
		client, err = connectOnce(ctx, o, via, offered)
	}
	if err == nil && o.Auth.Took != nil && offered.own(o.Auth.Kept) {
		o.Auth.Took(lineOf(offered.signed))
	}
	return client, err
}

func connectOnce(ctx context.Context, o Options, via dialer, offered *offer) (*ssh.Client, error) {
	conn, err := o.open(ctx, via)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := time.AfterFunc(o.handshake(), func() { cancel(o.noAnswer()) })
	defer limit.Stop()
	typing := func() (done func()) {
		limit.Stop() // a person is slower than any network
		return func() { limit.Reset(o.handshake()) }
	}
	// the handshake knows no context: ending the connection ends it
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	check := &keyCheck{pinned: o.Keys, name: o.address()}
	auth, closeAuth := o.Auth.methods(ctx, offered, typing)
	defer closeAuth()
	config := &ssh.ClientConfig{User: o.user(), Auth: auth, HostKeyCallback: check.verify, HostKeyAlgorithms: check.algorithms()}
	sshConn, channels, requests, err := ssh.NewClientConn(conn, o.address(), config)
	if err != nil {
		conn.Close()
		return nil, o.explain(ctx, check, err)
	}
	return ssh.NewClient(sshConn, channels, requests), nil
}

// open waits until the host takes the connection.
func (o Options) open(ctx context.Context, via dialer) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout(), errors.New("no answer in "+o.timeout().String()))
	defer cancel()
	conn, err := via.DialContext(ctx, "tcp", o.address())
	if err != nil {
		return nil, o.unreachable(ctx, err)
	}
	return conn, nil
}

// noAnswer is the cause when a host accepts the connection and sends nothing more.
func (o Options) noAnswer() error {
	return errors.New("connected, and no answer in " + o.handshake().String())
}

// explain distinguishes a host that does not answer, one that we do not trust, and
// one that denies access.
func (o Options) explain(ctx context.Context, check *keyCheck, err error) error {
	var network net.Error
	switch refusal := check.refusal(err); {
	case refusal != nil:
		return refusal
	case o.Auth.Passwords != nil && o.Auth.Passwords.why != nil:
		return o.Auth.Passwords.denied(o)
	case ctx.Err() != nil, !check.passed, errors.Is(err, io.EOF), errors.As(err, &network):
		return o.unreachable(ctx, err)
	case o.Auth.Passwords != nil:
		return o.Auth.Passwords.denied(o)
	default:
		return fault.WithHint(because(NoKey, fmt.Errorf("%w: %s@%s: %w", machine.ErrDenied, o.user(), o.address(), err)),
			fmt.Sprintf("ssh-copy-id -p %d %s@%s puts your key there", cmp.Or(o.Port, 22), o.user(), o.Address))
	}
}

func (o Options) unreachable(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	away := fmt.Errorf("%w: %s@%s: %w", machine.ErrUnreachable, o.user(), o.address(), err)
	if errors.Is(err, syscall.ECONNRESET) {
		return fault.WithHint(away, "sshd refuses an address for a while after failed logins (PerSourcePenalties): try again in a minute")
	}
	return away
}
