package drivetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Front serves one handler over TLS under the names of Google's Hosts, with a
// certificate of an authority of its own.
type Front struct {
	// CA is the authority's certificate in PEM, which clients have to trust.
	CA []byte

	tls     *tls.Config
	handler http.Handler
}

// NewFront makes an authority and its certificate for the Hosts.
func NewFront(handler http.Handler) (*Front, error) {
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "drivetest"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca, err := x509.CreateCertificate(rand.Reader, authority, authority, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: apiHost}, DNSNames: Hosts(), NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.CreateCertificate(rand.Reader, leaf, authority, &own.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &Front{
		CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca}), handler: handler,
		tls: &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: own}}},
	}, nil
}

const headerLimit = 10 * time.Second

// Listen serves at an address, where clients come that the Hosts' names lead to, until
// the context ends. It returns the address.
func (f *Front) Listen(ctx context.Context, address string) (string, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	f.serve(ctx, tls.NewListener(ln, f.tls), f.handler)
	return ln.Addr().String(), nil
}

// Proxy serves as an HTTP proxy on loopback until the context ends, and returns its URL.
// It knows no host but the Hosts.
func (f *Front) Proxy(ctx context.Context) (string, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	tunnels := &tunnels{conns: make(chan net.Conn), closed: make(chan struct{}), addr: ln.Addr()}
	f.serve(ctx, tls.NewListener(tunnels, f.tls), f.handler)
	f.serve(ctx, ln, tunnels)
	return "http://" + ln.Addr().String(), nil
}

func (f *Front) serve(ctx context.Context, ln net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerLimit, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	context.AfterFunc(ctx, func() { server.Close() })
	go server.Serve(ln) //nolint:errcheck // that it was closed
}

// tunnels is a proxy, and the listener that its connections come out of.
type tunnels struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	addr   net.Addr
}

// ServeHTTP implements http.Handler: CONNECT only.
func (t *tunnels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	if r.Method != http.MethodConnect || err != nil || port != "443" || !slices.Contains(Hosts(), host) {
		http.Error(w, "drivetest leads to Google's hosts alone", http.StatusForbidden)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if _, err := conn.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		conn.Close()
		return
	}
	select {
	case t.conns <- conn:
	case <-t.closed:
		conn.Close()
	}
}

// Accept implements net.Listener.
func (t *tunnels) Accept() (net.Conn, error) {
	select {
	case conn := <-t.conns:
		return conn, nil
	case <-t.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (t *tunnels) Close() error {
	t.once.Do(func() { close(t.closed) })
	return nil
}

// Addr implements net.Listener.
func (t *tunnels) Addr() net.Addr { return t.addr }
