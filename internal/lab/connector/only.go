package connector

import (
	"net"
	"net/http"
)

// HTTP2 is what connectors and the edge speak: HTTP/2 alone, unencrypted.
func HTTP2() *http.Protocols {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	return &p
}

// An only is a listener that accepts one connection, and then waits until that one is over.
type only struct {
	net.Conn
	accept chan net.Conn
	over   chan struct{}
}

func newOnly(conn net.Conn) *only {
	o := &only{conn, make(chan net.Conn, 1), make(chan struct{})}
	o.accept <- conn
	return o
}

// Accept implements net.Listener.
func (o *only) Accept() (net.Conn, error) {
	select {
	case conn := <-o.accept:
		return conn, nil
	case <-o.over:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (o *only) Addr() net.Addr { return o.LocalAddr() }

func (o *only) state(_ net.Conn, is http.ConnState) {
	if is == http.StateClosed {
		close(o.over)
	}
}
