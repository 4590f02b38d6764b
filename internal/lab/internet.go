package lab

import (
	"context"
	"net"
	"os"
	"path/filepath"

	"salvor/internal/front"
)

// An internet is what machines of the lab find under public names: services in this process.
// No packet leaves the lab.
type internet struct {
	front   *front.Front
	gateway string
	proxy   string   // for the operator, URL
	ca      string   // file
	flags   []string // more of each machine's
}

const httpsPort = "443"

// online starts the lab's internet, until ctx ends, unless it was started before. Machines
// that are made later, or replaced, find it by their hosts file and trust its certificates.
func (l *Lab) online(ctx context.Context) (*internet, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.internet != nil {
		return l.internet, nil
	}
	f, err := front.New()
	if err != nil {
		return nil, err
	}
	i := &internet{front: f, gateway: l.Gateway().String(), ca: filepath.Join(l.folder, "internet-ca.pem")}
	if err := os.WriteFile(i.ca, f.CA, 0o644); err != nil {
		return nil, err
	}
	if i.proxy, err = f.Proxy(ctx); err != nil {
		return nil, err
	}
	if _, err := f.Listen(ctx, net.JoinHostPort(i.gateway, httpsPort)); err != nil {
		return nil, err
	}
	l.internet = i
	return i, nil
}

// public returns the lab's internet, nil if none was started.
func (l *Lab) public() *internet {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.internet
}

// Environ is what leads a program on this machine to the internet of the lab, as an operator's.
func (i *internet) Environ() []string {
	return []string{"HTTPS_PROXY=" + i.proxy, "SSL_CERT_FILE=" + i.ca}
}

// leading are the flags that lead a container to the internet.
func (i *internet) leading() []string {
	if i == nil {
		return nil
	}
	flags := i.flags
	for _, name := range i.front.Hosts() {
		flags = append(flags, "--add-host", name+":"+i.gateway)
	}
	return flags
}

// trusted has a container trust the internet's certificates.
func (i *internet) trusted(ctx context.Context, container string) error {
	if i == nil {
		return nil
	}
	if err := writeIn(ctx, container, "/usr/local/share/ca-certificates/lab.crt", string(i.front.CA)); err != nil {
		return err
	}
	_, err := docker(ctx, "exec", container, "update-ca-certificates")
	return err
}
