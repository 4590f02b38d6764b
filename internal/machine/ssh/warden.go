package ssh

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"salvor/internal/fault"
	"salvor/internal/machine"
)

// missedKeepalives without an answer end the connection here; one more without
// a message ends everything over there.
const missedKeepalives = 3

// warden is the far side's end of launch.go's arrangement.
type warden struct {
	fifo string
	mu   sync.Mutex // one message at a time
	in   io.Writer
}

// tell sends a message: "alive", "stop GROUP PROGRAM" or
// "end GROUP PROGRAM". On a
// connection that is gone, the missing messages say it all.
func (w *warden) tell(message string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = fmt.Fprintf(w.in, "%-23s\n", message)
}

// startWarden returns when the warden is there, which also proves that this
// user gets a shell and may become root.
func (m *Machine) startWarden(ctx context.Context) (*warden, error) {
	s, err := m.open(ctx)
	if err != nil {
		return nil, err
	}
	w := &warden{fifo: "/run/salvor-ssh." + rand.Text(), in: s.channel}
	silence := (missedKeepalives + 1) * m.keepalive
	if err := s.exec(m.shell(wardenScript, w.fifo, fmt.Sprintf("%.3f", silence.Seconds()))); err != nil {
		return nil, m.lost(err)
	}
	stderr := machine.NewTail(nil)
	complaints := machine.Copy(stderr, s.channel.Stderr(), func(error) {})
	ready := make(chan error, 1)
	go func() { ready <- skipTo(bufio.NewReader(s.channel), "salvor-ready") }()
	select {
	case <-ctx.Done():
		return nil, m.lost(context.Cause(ctx))
	case err = <-ready:
	}
	if err != nil {
		complaints.Drain(time.Second)
		return nil, m.noShell(strings.TrimSpace(string(stderr.Bytes())))
	}
	go func() {
		<-s.ended // without the warden nothing would end the commands
		m.giveUp(errors.New("the host ended it"))
	}()
	return w, nil
}

func (m *Machine) noShell(said string) error {
	switch {
	case mustChange(said):
		return fault.WithHint(because(MustChange, fmt.Errorf("%w: %s: its password must be changed before anything runs there", machine.ErrDenied, m.name)),
			"log in with ssh, which asks for a new password")
	case m.sudo && strings.Contains(said, "sudo"):
		return fault.WithHint(because(SudoAsks, fmt.Errorf("%w: %s: %s", machine.ErrDenied, m.name, lastLine(said))),
			"allow sudo without a password there: USER ALL=(ALL) NOPASSWD: ALL in /etc/sudoers.d/salvor")
	}
	return fmt.Errorf("%w: %s: no usable shell: %s", machine.ErrDenied, m.name, lastLine(said))
}

func lastLine(text string) string { return text[strings.LastIndexByte(text, '\n')+1:] }

// skipTo reads lines until one begins with prefix: a user's shell may print
// something of its own before.
func skipTo(r *bufio.Reader, prefix string) error {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.HasPrefix(line, prefix) {
			return nil
		}
	}
}

// keepAlive sends signs of life to the warden, and ends the connection when the host
// no longer answers, so that everything that waits for it fails.
func (m *Machine) keepAlive() {
	timer := time.NewTimer(m.keepalive)
	defer timer.Stop()
	for {
		select {
		case <-m.done:
			return
		case <-timer.C:
		}
		answered := make(chan error, 1)
		go func() {
			m.warden.tell("alive")
			answered <- ping(m.client)
		}()
		timer.Reset((missedKeepalives - 1) * m.keepalive)
		select {
		case <-m.done:
			return
		case err := <-answered:
			if err != nil {
				m.giveUp(err)
				return
			}
			timer.Reset(m.keepalive)
		case <-timer.C:
			m.giveUp(fmt.Errorf("no answer for %s", missedKeepalives*m.keepalive))
			return
		}
	}
}

func ping(c *ssh.Client) error {
	_, _, err := c.SendRequest("keepalive@openssh.com", true, nil)
	return err
}
