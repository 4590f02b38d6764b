package tunnel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"salvor/internal/docker"
)

const (
	answerWithin = 5 * time.Second
	maxAnswer    = 16 << 20 // of /config, which has all rules
)

// ErrSilent means that no connector of the host's tunnel is connected to Cloudflare.
var ErrSilent = errors.New("the connector is not connected to Cloudflare")

// A state is what a connector says of itself.
type state struct {
	running bool
	ready   bool // it has a connection to Cloudflare
	version int  // of the configuration that it has, 0 for none
}

// Version implements publish.Connector: the version that every connected connector of the
// tunnel has at least. The error wraps ErrSilent where none is connected.
func (t *Tunnel) Version(ctx context.Context) (int, error) {
	k := t.current()
	states, err := t.ask(ctx, k.Slots)
	if err != nil {
		return 0, err
	}
	least := -1
	for i, s := range states {
		if s.ready && k.Slots[i].Tunnel == k.Tunnel.ID && (least < 0 || s.version < least) {
			least = s.version
		}
	}
	if least < 0 {
		return 0, ErrSilent
	}
	return least, nil
}

// ask returns what connectors say. One that does not answer is not ready.
func (t *Tunnel) ask(ctx context.Context, slots []slot) ([]state, error) {
	states := make([]state, len(slots))
	connected := false
	for i, s := range slots {
		members, err := t.engine.Members(ctx, s.Network)
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(members, func(m docker.Member) bool { return m.Project == Project && m.Service == s.Name })
		if at < 0 {
			continue
		}
		if states[i], err = t.askOne(ctx, members[at].Address); err != nil && ctx.Err() != nil {
			return nil, err
		}
		states[i].running = true
		connected = connected || states[i].ready
	}
	t.note(func() {
		switch {
		case connected || len(slots) == 0:
			t.silent = time.Time{}
		case t.silent.IsZero():
			t.silent = t.time()
		}
	})
	return states, nil
}

// askOne asks a connector by its address. Source: cloudflared's metrics/metrics.go.
func (t *Tunnel) askOne(ctx context.Context, address string) (state, error) {
	at := net.JoinHostPort(address, strconv.Itoa(metricsPort))
	if _, err := t.get(ctx, at, "/ready"); err != nil {
		return state{}, err
	}
	answer, err := t.get(ctx, at, "/config")
	if err != nil {
		return state{}, err
	}
	var config struct {
		Version int `json:"version"` // -1 before the first
	}
	if err := json.Unmarshal(answer, &config); err != nil {
		return state{}, fmt.Errorf("read the connector's configuration: %w", err)
	}
	return state{ready: true, version: max(config.Version, 0)}, nil
}

func (t *Tunnel) get(ctx context.Context, at, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := t.client.Do(ask)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the connector answers %s with status %d", path, resp.StatusCode)
	}
	return content, err
}
