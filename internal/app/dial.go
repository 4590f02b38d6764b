package app

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"salvor/internal/controlrepo"
	"salvor/internal/embedded"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/machine"
	"salvor/internal/machine/ssh"
	"salvor/internal/progress"
	"salvor/internal/secret"
	"salvor/internal/version"
)

// dialer reaches hosts over SSH, once each.
type dialer struct {
	app *App

	mu    sync.Mutex // guards links
	links map[string]*dialing
}

type dialing struct {
	once sync.Once
	link *hostlink.Link
	err  error
}

func newDialer(a *App) *dialer { return &dialer{app: a, links: map[string]*dialing{}} }

// Dial implements deploy.Dialer. The second call for a host returns the first
// one's link, or its error.
func (d *dialer) Dial(ctx context.Context, h fleet.Host) (*hostlink.Link, error) {
	d.mu.Lock()
	entry := d.links[h.Name]
	if entry == nil {
		entry = &dialing{}
		d.links[h.Name] = entry
	}
	d.mu.Unlock()
	entry.once.Do(func() {
		m, err := d.dial(ctx, h)
		if err != nil {
			entry.err = fmt.Errorf("%s: %w", h.Name, err)
			return
		}
		entry.link = &hostlink.Link{Host: h.Name, Machine: m, Carrier: carrier{}, Sink: progress.SinkFunc(func(e progress.Event) { d.app.opts.Sink.Emit(e) })}
	})
	return entry.link, entry.err
}

func (d *dialer) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	for _, entry := range d.links {
		if entry.link != nil {
			err = errors.Join(err, entry.link.Machine.Close())
		}
	}
	return err
}

func (d *dialer) dial(ctx context.Context, h fleet.Host) (machine.Machine, error) {
	reach, err := d.app.Reach(h)
	if err != nil {
		return nil, err
	}
	return reach(ctx)
}

// Reach returns what connects to a host, trusting the keys that are pinned now. It
// may be called in parallel to anything else.
func (a *App) Reach(h fleet.Host) (func(context.Context) (machine.Machine, error), error) {
	if a.opts.Connect != nil {
		return func(ctx context.Context) (machine.Machine, error) { return a.opts.Connect(ctx, h) }, nil
	}
	auth, err := a.sshAuth(h.Address)
	if err != nil {
		return nil, err
	}
	o := a.sshOptions(h, auth)
	return func(ctx context.Context) (machine.Machine, error) { return ssh.Dial(ctx, o) }, nil
}

// parseJump reads "user@host:port"; the loader has checked it.
func parseJump(s string) ssh.Options {
	var o ssh.Options
	if name, rest, found := strings.Cut(s, "@"); found {
		o.User, s = name, rest
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		o.Address = s
		return o
	}
	o.Address = host
	o.Port, _ = strconv.Atoi(port)
	return o
}

// pinned returns the host keys pinned for an address, as known_hosts writes it. A
// revoked key does not belong to a host.
func pinned(keys []controlrepo.HostKey, address string, port int) []ssh.PublicKey {
	var found []ssh.PublicKey
	for _, k := range keys {
		revoked := slices.ContainsFunc(keys, func(r controlrepo.HostKey) bool { return r.Marker == "@revoked" && string(r.Key) == string(k.Key) })
		if k.Marker == "" && !revoked && slices.Contains(k.Patterns, knownHostsName(address, port)) {
			found = append(found, ssh.PublicKey(k.Type+" "+base64.StdEncoding.EncodeToString(k.Key)))
		}
	}
	return found
}

func knownHostsName(address string, port int) string {
	if port == 0 || port == 22 {
		return address
	}
	return "[" + address + "]:" + strconv.Itoa(port)
}

// sshAuth is the operator's agent and key files for a host, then the fleet's key.
func (a *App) sshAuth(host string) (ssh.Auth, error) {
	auth, err := ssh.UserAuth(host)
	auth.Kept = a.keptKeys()
	if a.opts.SSHKey != "" {
		auth, err = ssh.Auth{Files: []string{a.opts.SSHKey}}, nil
	}
	auth.Passphrase = func(file string) (secret.Value, error) { return a.opts.Passphrase("Passphrase of " + file + ": ") }
	return auth, err
}

// carrier is the salvord that this salvor carries.
type carrier struct{}

// Version implements hostlink.Carrier.
func (carrier) Version() string { return version.String() }

// Open implements hostlink.Carrier.
func (carrier) Open(arch string) (io.ReadCloser, error) { return embedded.Salvord(arch) }
