// Package docker observes a Docker engine by the Engine API (1.41 and later): its containers
// and how healthy they are, its images and networks, and when to look again. It changes
// nothing but that containers are paused and continue.
package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"salvor/internal/machine"
)

const (
	socket    = "/var/run/docker.sock"
	timeout   = time.Minute
	maxAnswer = 64 << 20
)

// ErrNoSuch is wrapped by errors that mean: the engine has no such object, or no more.
var ErrNoSuch = errors.New("no such object")

// ErrDenied is wrapped by errors that mean: a registry wants a login.
var ErrDenied = errors.New("the registry wants a login")

// An Engine is the Docker engine of one machine. It is safe for concurrent use.
type Engine struct{ client *http.Client }

// New returns the engine of a machine. Close it when done.
func New(m machine.Machine) *Engine {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return m.Dial(ctx, "unix", socket) }
	return &Engine{client: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Close drops connections that are idle; the machine stays open.
func (e *Engine) Close() { e.client.CloseIdleConnections() }

// get asks the engine. The path without a version means the engine's own.
func (e *Engine) get(ctx context.Context, path string) ([]byte, error) {
	return e.ask(ctx, http.MethodGet, path)
}

// post has the engine do something.
func (e *Engine) post(ctx context.Context, path string) error {
	_, err := e.ask(ctx, http.MethodPost, path)
	return err
}

func (e *Engine) ask(ctx context.Context, method, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the Docker engine: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("read the Docker engine's answer: %w", err)
	}
	if resp.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("docker engine: %w", ErrNoSuch)
	}
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		return nil, fmt.Errorf("docker engine: %w", ErrDenied)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
		return nil, fmt.Errorf("docker engine: %s: %s", resp.Status, bytes.TrimSpace(body[:min(len(body), 300)]))
	}
	return body, nil
}

// About is what an engine is and has.
type About struct {
	Version  string
	Runtimes []string // sorted
	Networks []string // sorted
}

// About asks the engine what it is and which networks there are.
func (e *Engine) About(ctx context.Context) (About, error) {
	info, err := e.get(ctx, "/info")
	if err != nil {
		return About{}, err
	}
	networks, err := e.get(ctx, "/networks")
	if err != nil {
		return About{}, err
	}
	return parseAbout(info, networks)
}

func parseAbout(info, networks []byte) (About, error) {
	var is struct {
		ServerVersion string
		Runtimes      map[string]json.RawMessage
	}
	if err := json.Unmarshal(info, &is); err != nil {
		return About{}, fmt.Errorf("read what the Docker engine is: %w", err)
	}
	var list []struct{ Name string }
	if err := json.Unmarshal(networks, &list); err != nil {
		return About{}, fmt.Errorf("read the Docker engine's networks: %w", err)
	}
	a := About{Version: is.ServerVersion, Runtimes: slices.Sorted(maps.Keys(is.Runtimes))}
	for _, n := range list {
		a.Networks = append(a.Networks, n.Name)
	}
	slices.Sort(a.Networks)
	return a, nil
}

// LiveRestore reports whether containers keep running while the engine is restarted.
func (e *Engine) LiveRestore(ctx context.Context) (bool, error) {
	answer, err := e.get(ctx, "/info")
	if err != nil {
		return false, err
	}
	var info struct{ LiveRestoreEnabled bool }
	if err := json.Unmarshal(answer, &info); err != nil {
		return false, fmt.Errorf("read what the Docker engine says of itself: %w", err)
	}
	return info.LiveRestoreEnabled, nil
}

// HasNetwork reports whether there is a network of that name.
func (e *Engine) HasNetwork(ctx context.Context, name string) (bool, error) {
	return e.has(ctx, "/networks/"+url.PathEscape(name))
}

// HasVolume reports whether there is a volume of that name.
func (e *Engine) HasVolume(ctx context.Context, name string) (bool, error) {
	return e.has(ctx, "/volumes/"+url.PathEscape(name))
}

func (e *Engine) has(ctx context.Context, path string) (bool, error) {
	_, err := e.get(ctx, path)
	if errors.Is(err, ErrNoSuch) {
		return false, nil
	}
	return err == nil, err
}
