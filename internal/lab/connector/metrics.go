package connector

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// metrics is the server at --metrics. Source: cloudflared, metrics/metrics.go and readiness.go.
func (c *Connector) metrics() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ready", c.serveReady)
	mux.HandleFunc("/config", c.serveConfig)
	mux.HandleFunc("/healthcheck", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "OK") })
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		ready, current := c.state()
		fmt.Fprintf(w, "cloudflared_tunnel_ha_connections %d\ncloudflared_orchestration_config_version %d\n", ready, current.Version)
	})
	return mux
}

func (c *Connector) state() (ready int, current Configuration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready, c.current
}

func (c *Connector) serveReady(w http.ResponseWriter, _ *http.Request) {
	answer := struct {
		Status    int    `json:"status"`
		Ready     int    `json:"readyConnections"`
		Connector string `json:"connectorId"`
	}{Status: http.StatusServiceUnavailable, Connector: c.options.ID}
	if answer.Ready, _ = c.state(); answer.Ready > 0 {
		answer.Status = http.StatusOK
	}
	send(w, answer.Status, answer)
}

func (c *Connector) serveConfig(w http.ResponseWriter, _ *http.Request) {
	_, current := c.state()
	send(w, http.StatusOK, current)
}

func send(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // a client that is gone gets no answer
}
