package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// How long a Watch waits before it connects again: twice as long after each failure, and
// from the beginning once a connection has lasted.
const (
	connectFirst = 250 * time.Millisecond
	connectMost  = 15 * time.Second
)

// watched are the events after which a listing may be another one. Those of health checks
// are not among them: an engine has many each minute, and they start nothing.
// Source: Engine API, GET /events.
var watched = map[string][]string{
	"type":  {"container", "network"},
	"event": {"create", "start", "die", "destroy", "rename", "pause", "unpause", "connect", "disconnect"},
}

// Watch follows what the engine's containers do until ctx ends, and returns its error. It
// calls changed when a listing may be another one than before: after each connection, since
// what happened without one is not known, and after each event. Which event it was is not
// said: the engine drops events that are not read in time. Who is called does not wait, and
// looks at a full listing once it is quiet.
//
// An engine that is away or restarts is connected to again, without an end.
func (e *Engine) Watch(ctx context.Context, changed func()) error {
	for pause := connectFirst; ; pause = min(2*pause, connectMost) {
		began := time.Now()
		_ = e.follow(ctx, changed) // why it ended changes nothing: the engine is asked again
		if time.Since(began) > connectMost {
			pause = connectFirst
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// follow reads one connection's events to its end.
func (e *Engine) follow(ctx context.Context, changed func()) error {
	filters, err := json.Marshal(watched)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/events?filters="+url.QueryEscape(string(filters)), nil)
	if err != nil {
		return err
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the Docker engine: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("docker engine: %s", resp.Status)
	}
	changed()
	for events := json.NewDecoder(resp.Body); ; {
		var event struct{}
		if err := events.Decode(&event); err != nil {
			return err
		}
		changed()
	}
}
