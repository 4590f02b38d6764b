package sshtest

import (
	"net"
	"sync"
	"testing"
)

// A Link forwards a loopback port to a server and can fail like a network.
type Link struct {
	Port int

	listener net.Listener
	mu       sync.Mutex // guards what follows
	conns    []net.Conn
	frozen   chan struct{} // closed while traffic flows
}

// NewLink starts a link to 127.0.0.1:port that ends with the test.
func NewLink(t testing.TB, port int) *Link {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	flows := make(chan struct{})
	close(flows)
	l := &Link{Port: listener.Addr().(*net.TCPAddr).Port, listener: listener, frozen: flows}
	t.Cleanup(func() {
		listener.Close()
		l.Thaw()
		l.Cut()
	})
	go l.serve(t, (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String())
	return l
}

func (l *Link) serve(t testing.TB, to string) {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		far, err := new(net.Dialer).DialContext(t.Context(), "tcp", to)
		if err != nil {
			near.Close()
			continue
		}
		l.mu.Lock()
		l.conns = append(l.conns, near, far)
		l.mu.Unlock()
		go l.forward(near, far)
		go l.forward(far, near)
	}
}

func (l *Link) forward(dst, src net.Conn) {
	defer dst.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		<-l.flowing()
		if _, writeErr := dst.Write(buf[:n]); err != nil || writeErr != nil {
			return
		}
	}
}

func (l *Link) flowing() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frozen
}

// Cut ends every connection on both sides.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		c.Close()
	}
	l.conns = nil
}

// Freeze lets nothing through any more, without telling anyone, as a cable that is
// pulled or a host that is paused.
func (l *Link) Freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = make(chan struct{})
}

// Thaw lets traffic through again, also what was held up.
func (l *Link) Thaw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.frozen:
	default:
		close(l.frozen)
	}
}
