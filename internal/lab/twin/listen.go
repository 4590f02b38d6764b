package twin

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// A listener accepts connections of this process, as a port on loopback would.
type listener struct {
	addr   string
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	gone   func()
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.gone()
	})
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return address(l.addr) }

type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

// listen opens what restic reaches a repository at, or what salvord takes announcements at.
func (h *host) listen(context.Context) (net.Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ports++
	l := &listener{addr: fmt.Sprintf("127.0.0.1:%d", h.ports), conns: make(chan net.Conn), closed: make(chan struct{})}
	l.gone = func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.listeners, l.addr)
	}
	h.listeners[l.addr] = l
	return l, nil
}

func (h *host) dialRestic(ctx context.Context, addr string) (net.Conn, error) {
	h.mu.Lock()
	l := h.listeners[addr]
	h.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("%s: connection refused", addr)
	}
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, fmt.Errorf("%s: connection refused", addr)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
