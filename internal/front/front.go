// Package front serves what tests put in the place of public services: over TLS, under the
// services' own names, with certificates of an authority that clients have to trust.
package front

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Front leads requests to handlers by the name that they are for. Its methods are safe for
// concurrent use.
type Front struct {
	// CA is the authority's certificate in PEM.
	CA []byte

	authority *x509.Certificate
	key       *ecdsa.PrivateKey

	mu           sync.Mutex // guards what follows
	handlers     map[string]http.Handler
	others       http.Handler // nil: other names are refused
	certificates map[string]*tls.Certificate
	serial       int64
}

// New makes a front with an authority of its own, and no name.
func New() (*Front, error) {
	f := &Front{handlers: map[string]http.Handler{}, certificates: map[string]*tls.Certificate{}, serial: 1}
	f.authority = &x509.Certificate{
		SerialNumber: big.NewInt(f.serial), Subject: pkix.Name{CommonName: "Salvor's tests"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	var err error
	if f.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	ca, err := x509.CreateCertificate(rand.Reader, f.authority, f.authority, &f.key.PublicKey, f.key)
	f.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca})
	return f, err
}

// Handle leads the hosts' requests to a handler.
func (f *Front) Handle(handler http.Handler, hosts ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, host := range hosts {
		f.handlers[host] = handler
	}
}

// HandleOthers leads to a handler what is for a host that Handle does not know.
func (f *Front) HandleOthers(handler http.Handler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.others = handler
}

// Hosts returns the names that Handle knows, in order.
func (f *Front) Hosts() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.handlers))
}

func (f *Front) handler(host string) http.Handler {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h := f.handlers[host]; h != nil {
		return h
	}
	return f.others
}

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, _ := strings.Cut(r.Host, ":")
	if h := f.handler(host); h != nil {
		h.ServeHTTP(w, r)
		return
	}
	http.Error(w, "nothing is here under "+host, http.StatusMisdirectedRequest)
}

const headerLimit = 10 * time.Second

// Listen serves at an address, where clients come that the hosts' names lead to, until
// the context ends. It returns the address.
func (f *Front) Listen(ctx context.Context, address string) (string, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	serve(ctx, tls.NewListener(ln, f.config()), f)
	return ln.Addr().String(), nil
}

// Proxy serves as an HTTP proxy on loopback until the context ends, and returns its URL.
// It leads to no host but the front's.
func (f *Front) Proxy(ctx context.Context) (string, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	tunnels := &tunnels{front: f, conns: make(chan net.Conn), closed: make(chan struct{}), addr: ln.Addr()}
	serve(ctx, tls.NewListener(tunnels, f.config()), f)
	serve(ctx, ln, tunnels)
	return "http://" + ln.Addr().String(), nil
}

func serve(ctx context.Context, ln net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerLimit, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	context.AfterFunc(ctx, func() { server.Close() })
	go server.Serve(ln) //nolint:errcheck // that it was closed
}

func (f *Front) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: f.certificate}
}

// certificate returns one for the name that a client asks for.
func (f *Front) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := hello.ServerName
	if name == "" || f.handler(name) == nil {
		return nil, fmt.Errorf("no certificate for %q", name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.certificates[name]; c != nil {
		return c, nil
	}
	f.serial++
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(f.serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: f.authority.NotBefore, NotAfter: f.authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	content, err := x509.CreateCertificate(rand.Reader, leaf, f.authority, &own.PublicKey, f.key)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{Certificate: [][]byte{content}, PrivateKey: own}
	f.certificates[name] = c
	return c, nil
}
