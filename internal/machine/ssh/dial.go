// Package ssh reaches a machine over SSH: one connection, multiplexed for every
// command, with the host's key pinned. The far side needs OpenSSH's sshd, a POSIX
// shell as the user's, coreutils, and sudo for a user other than root.
package ssh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"salvor/internal/machine"
)

const (
	dialTimeout    = 10 * time.Second
	busyTimeout    = 30 * time.Second // a host that took the connection may be slow: its processors are busy, its disks asleep
	keepaliveEvery = 15 * time.Second

	// maxCommands run at once, further ones wait: sshd's MaxSessions is 10 by
	// default, the warden takes one, and one that just ended may still count.
	maxCommands = 8
)

// Options say how to reach a host.
type Options struct {
	Name      string // for messages
	Address   string
	Port      int    // 0 means 22
	User      string // "" means root; another user needs sudo without a password
	Keys      []PublicKey
	Auth      Auth
	Jump      *Options      // reach the host through this one; needs no sudo there
	Timeout   time.Duration // until the host takes the connection; 0 means 10 s
	Handshake time.Duration // from then until it has accepted the login, and again until a shell runs; 0 means 30 s. Asking for a passphrase doesn't count
	Keepalive time.Duration // between two; 0 means 15 s. Three without an answer end the connection
}

// Machine is a host reached over SSH.
type Machine struct {
	name      string
	sudo      bool
	keepalive time.Duration
	client    *ssh.Client
	jump      *ssh.Client // nil for a direct connection
	warden    *warden
	slots     chan struct{} // one for each running command

	end  sync.Once
	done chan struct{} // closed when the connection has been given up
	why  error         // set before done is closed
}

var _ machine.Machine = (*Machine)(nil)

// Dial connects. An error wraps machine.ErrUnreachable when nothing answered in
// time, machine.ErrHostKey when the host's key is not one of o.Keys,
// machine.ErrDenied when the host refuses the user or the user may not use sudo.
func Dial(ctx context.Context, o Options) (*Machine, error) {
	client, jump, err := connectVia(ctx, o)
	if err != nil {
		return nil, err
	}
	m := &Machine{
		name:      cmp.Or(o.Name, o.Address),
		sudo:      o.user() != "root",
		keepalive: cmp.Or(o.Keepalive, keepaliveEvery),
		client:    client,
		jump:      jump,
		slots:     make(chan struct{}, maxCommands),
		done:      make(chan struct{}),
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.handshake(), errors.New("no shell in "+o.handshake().String()))
	defer cancel()
	if m.warden, err = m.startWarden(ctx); err != nil {
		m.giveUp(net.ErrClosed)
		return nil, err
	}
	go m.keepAlive()
	return m, nil
}

// Close implements machine.Machine. What still runs on the host is ended there.
func (m *Machine) Close() error {
	m.giveUp(net.ErrClosed)
	return nil
}

// giveUp ends the connection; everything that waits for it fails with why. Only the
// first call counts. An error of closing is of no use.
func (m *Machine) giveUp(why error) {
	m.end.Do(func() {
		m.why = why
		close(m.done)
		m.client.Close()
		if m.jump != nil {
			m.jump.Close()
		}
	})
}

// lost explains an error of the connection.
func (m *Machine) lost(err error) error {
	select {
	case <-m.done:
		err = m.why
	default:
	}
	if errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("%s: %w", m.name, net.ErrClosed)
	}
	return fmt.Errorf("%w: %s: connection lost: %w", machine.ErrUnreachable, m.name, err)
}

func (o Options) timeout() time.Duration { return cmp.Or(o.Timeout, dialTimeout) }

func (o Options) handshake() time.Duration { return cmp.Or(o.Handshake, busyTimeout) }

func (o Options) user() string { return cmp.Or(o.User, "root") }

func (o Options) address() string {
	return net.JoinHostPort(o.Address, strconv.Itoa(cmp.Or(o.Port, 22)))
}
