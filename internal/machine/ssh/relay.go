package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"

	"salvor/internal/machine"
)

// Dial implements machine.Machine. A Unix socket that a user other than root may
// not open is reached through a program run with sudo; such a connection counts
// as a running command and cannot be closed for one direction alone.
func (m *Machine) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := m.client.DialContext(ctx, network, addr)
	var refused *ssh.OpenChannelError
	switch {
	case err == nil:
		return conn, nil
	case errors.As(err, &refused) && m.sudo && network == "unix":
		return m.relay(ctx, addr)
	case errors.As(err, &refused), ctx.Err() != nil:
		return nil, fmt.Errorf("%s: dial %s: %w", m.name, addr, err)
	default:
		return nil, m.lost(err)
	}
}

// relayScript connects to a Unix socket, says "+", and copies both ways. Perl is
// on every Debian and Ubuntu, since dpkg needs it.
const relayScript = `use IO::Socket::UNIX; $| = 1;
my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$!\n";
syswrite STDOUT, "+";
sub copy { my ($from, $to) = @_; while (sysread $from, my $b, 65536) { while (length $b) { my $n = syswrite $to, $b or exit 0; substr $b, 0, $n, "" } } }
if (!fork) { copy(*STDIN, $s); shutdown $s, 1; exit 0 }
copy($s, *STDOUT)`

func (m *Machine) relay(ctx context.Context, addr string) (net.Conn, error) {
	near, far := net.Pipe()
	// the connection lives on when Dial has returned
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	out := &greeted{to: far, greeting: make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		_, err := m.Run(running, machine.Cmd{Argv: []string{"perl", "-e", relayScript, addr}, Stdin: closing{far}, Stdout: out})
		far.Close()
		ended <- err
	}()
	select {
	case <-out.greeting:
		return &relayed{Conn: near, cancel: cancel}, nil
	case err := <-ended:
		cancel()
		return nil, fmt.Errorf("%s: dial %s: %w", m.name, addr, err)
	case <-ctx.Done():
		cancel()
		return nil, fmt.Errorf("%s: dial %s: %w", m.name, addr, context.Cause(ctx))
	}
}

// relayed ends the relay with the connection.
type relayed struct {
	net.Conn
	cancel context.CancelFunc
}

// Close implements net.Conn.
func (r *relayed) Close() error {
	defer r.cancel()
	return r.Conn.Close()
}

// greeted drops the first byte and reports that it came.
type greeted struct {
	to       io.Writer
	once     sync.Once
	greeting chan struct{}
}

// Write implements io.Writer.
func (g *greeted) Write(p []byte) (int, error) {
	skip := 0
	g.once.Do(func() {
		skip = min(1, len(p))
		close(g.greeting)
	})
	if skip == len(p) {
		return skip, nil
	}
	n, err := g.to.Write(p[skip:])
	return n + skip, err
}

// closing turns the end of a pipe that this side closed into an ordinary one.
type closing struct{ from io.Reader }

// Read implements io.Reader.
func (c closing) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if errors.Is(err, io.ErrClosedPipe) {
		err = io.EOF
	}
	return n, err
}
