// Package tunnel keeps this host's tunnel: it finds or makes it at Cloudflare, keeps its token
// encrypted on the disk, and runs the connector that serves it, the project Project, also while
// Cloudflare's API is away. See docs/routes.md.
package tunnel

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/cloudflare"
	"salvor/internal/docker"
	"salvor/internal/fleet"
)

// Project is the host's own project that the connector is.
const Project = fleet.ConnectorProject

const (
	lookEvery = time.Hour   // at Cloudflare, while the connector is connected
	doubtful  = time.Minute // between looks while it is not
)

// Settings say what a host's tunnel is to be.
type Settings struct {
	Account string        // Cloudflare's ID of it
	Name    string        // of the host's own tunnel
	ID      string        // of a tunnel that was adopted; "" for the host's own, by its name
	Network fleet.Network // Docker's, which is made where it is missing
	Image   string        // of the connector, with its digest once that is known
}

// SettingsOf are those that the request of a host with Ingress has.
func SettingsOf(spec agentapi.Host) Settings {
	i := spec.Ingress
	epoch := 1
	if spec.Own != nil {
		epoch = spec.Own.Epoch
	}
	s := Settings{Account: i.Account, Name: fleet.TunnelName(spec.Fleet, spec.Name, epoch), ID: i.Tunnel, Network: fleet.Network{Name: i.Network}, Image: spec.Image(Project)}
	for _, declared := range spec.Networks {
		if declared.Name == i.Network {
			s.Network = declared
		}
	}
	return s
}

// A Tunnel is this host's. It is safe for concurrent use; another process may have the same.
type Tunnel struct {
	host   *here.Host
	engine *docker.Engine
	client *http.Client // of connectors

	takeOver time.Duration // how long one call waits for a second connector

	mu     sync.Mutex // guards what follows
	now    kept       // as it was loaded or saved last
	looked time.Time  // at Cloudflare, zero for not yet
	silent time.Time  // since when no connector is connected, zero where one is, or none was asked
	moved  string     // ID of the tunnel that all hostnames lead to, "" while that is not known
	update failure    // of the last update
	fault  error      // of the last look at Cloudflare
}

// New returns the tunnel of a host. Nothing is asked yet. Close it when done.
func New(h *here.Host) *Tunnel {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		return h.Machine.Dial(ctx, network, address)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true} // a connector that is replaced keeps no connection
	return &Tunnel{host: h, engine: docker.New(h.Machine), client: &http.Client{Transport: transport, CheckRedirect: stay}, takeOver: takeOver}
}

// Close gives up connections; the connector runs on.
func (t *Tunnel) Close() { t.engine.Close() }

// Start runs the connector with what the host keeps, and asks Cloudflare nothing: as after a
// boot. A host that keeps no token does nothing. It may be called again.
func (t *Tunnel) Start(ctx context.Context) error {
	return t.locked(ctx, func() error {
		k, err := t.load()
		if err != nil || len(k.Slots) == 0 {
			return err
		}
		return t.run(ctx, k)
	})
}

// Ensure has the host's tunnel be there and a connector serve it, and returns the tunnel. What
// Cloudflare has is looked at every hour, and every minute while the connector is not connected:
// two calls, three for a new tunnel. An error does not stop a connector: where Cloudflare does not
// answer, or refuses the token, it runs with what the host keeps. An update of the image, the
// settings or the token starts a second connector and stops the first once the second has at
// least its version of the configuration. A call waits for that only shortly: both serve, and the
// next call continues. Interrupted at any point, the next call continues.
func (t *Tunnel) Ensure(ctx context.Context, s Settings, api *cloudflare.Client) (cloudflare.Tunnel, error) {
	var found cloudflare.Tunnel
	err := t.locked(ctx, func() error {
		k, err := t.load()
		if err != nil {
			return err
		}
		look := t.look(ctx, s, api, &k)
		t.note(func() { t.fault = look })
		if len(k.Token) == 0 {
			return look
		}
		if err := t.serve(ctx, s, k); err != nil {
			return errors.Join(look, err)
		}
		found = k.Tunnel
		return look
	})
	return found, err
}

// Doubt says that Cloudflare does not know the tunnel any more: the next Ensure looks.
func (t *Tunnel) Doubt() { t.note(func() { t.looked = time.Time{} }) }

// Moved says that all hostnames of the host lead to the tunnel that Ensure returned: a pass
// ended, and none waits. A connector of another tunnel, which they led to before, may stop.
func (t *Tunnel) Moved(to cloudflare.Tunnel) { t.note(func() { t.moved = to.ID }) }

// Stop stops the connector and forgets the token: the host publishes nothing any more. The
// tunnel stays at Cloudflare. It may be called twice.
func (t *Tunnel) Stop(ctx context.Context) error {
	return t.locked(ctx, func() error { return t.forget(ctx) })
}

// locked runs work while no other process works on the connector.
func (t *Tunnel) locked(ctx context.Context, work func() error) error {
	lock, err := t.host.LockStack(ctx, Project, here.Daemon, "running the connector")
	if err != nil {
		return err
	}
	defer lock.Release()
	return work()
}

func (t *Tunnel) note(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
}

func (t *Tunnel) time() time.Time { return t.host.Edges.Time() }
