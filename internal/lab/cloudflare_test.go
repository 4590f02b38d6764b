package lab_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/fleet"
	"salvor/internal/lab"
	"salvor/internal/lab/edge"
	"salvor/internal/lab/labtest"
)

// TestHostsFindCloudflare has a host ask the API, and a connector in a container there lead a
// visitor's request to another container.
func TestHostsFindCloudflare(t *testing.T) {
	ctx := t.Context()
	l := labtest.Start(t, lab.Options{Name: "cloudflare"})
	c, err := lab.StartCloudflare(ctx, l)
	must(t, err)
	c.AddToken("the token", cloudflaretest.All)
	c.AddZone("example.com")
	tunnel := c.AddTunnel("alpha", 0)
	registry, err := l.Registry(ctx, "registry", nil)
	must(t, err)
	must(t, c.StockConnector(ctx, registry))
	nginx, err := registry.Ref(ctx, lab.Nginx)
	must(t, err)
	h, err := l.Host(ctx, "alpha", lab.HostOptions{Prepared: true})
	must(t, err)
	must(t, h.TrustRegistry(ctx, registry.Address))

	zones := []string{"curl", "-sS", "--max-time", "60", "-H", "Authorization: Bearer the token", "https://api.cloudflare.com/client/v4/zones"}
	if got, err := h.Exec(ctx, zones...); err != nil || !strings.Contains(got, `"name":"example.com"`) {
		t.Fatalf("the host got %s, %v", got, err)
	}
	environ := c.Environ()
	if got, err := program(t, environ, append(zones, "--cacert", strings.TrimPrefix(environ[1], "SSL_CERT_FILE="))...); err != nil || !strings.Contains(got, `"name":"example.com"`) {
		t.Errorf("the operator got %s, %v", got, err)
	}

	must(t, h.WriteFile(ctx, "/run/connector/token", c.ConnectorToken(tunnel).String()))
	script := fmt.Sprintf(`chown -R 65532 /run/connector
docker network create cloudflare-net
docker run -d --name app --network cloudflare-net %s
docker exec app sh -c 'echo hello >/usr/share/nginx/html/index.html'
docker run -d --name connector --network cloudflare-net -v /run/connector:/run/connector:ro %s tunnel --no-autoupdate --metrics 0.0.0.0:20241 run --token-file /run/connector/token
`, nginx, fleet.ConnectorImage)
	if _, err := h.Exec(ctx, "sh", "-ec", script); err != nil {
		t.Fatal(err)
	}
	c.EditRecords("example.com", func([]cloudflaretest.Record) []cloudflaretest.Record {
		return []cloudflaretest.Record{{Type: "CNAME", Name: "app.example.com", Content: tunnel + ".cfargotunnel.com", Proxied: true, TTL: 1}}
	})
	must(t, c.EditConfiguration(tunnel, json.RawMessage(`{"ingress":[{"hostname":"app.example.com","service":"http://app:80"},{"service":"http_status:404"}]}`)))
	for _, url := range []string{"https://app.example.com/", "http://app.example.com/"} {
		w := edge.Probe{Client: c.Visitor, URL: url}.Start(ctx)
		select {
		case <-w.Succeeded():
		case <-time.After(3 * time.Minute):
			said, err := h.Exec(ctx, "sh", "-c", "docker logs connector 2>&1")
			t.Fatalf("%s: %s: %s, %v", url, w.SoFar().LastFailure, said, err)
		}
		t.Log(url, w.Stop())
	}
	if _, err := h.Exec(ctx, "docker", "exec", "connector", "cloudflared", "tunnel", "ready"); err != nil {
		t.Error(err)
	}
	if _, err := h.Exec(ctx, "docker", "stop", "-t", "20", "connector"); err != nil {
		t.Error(err)
	}
	resp, err := c.Visitor.Get("https://app.example.com/")
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode == http.StatusOK {
		t.Error("it answers without a connector")
	}
	if state, err := h.Exec(ctx, "docker", "inspect", "-f", "{{.State.ExitCode}}", "connector"); err != nil || strings.TrimSpace(state) != "0" {
		t.Errorf("the connector ended with %s, %v", state, err)
	}
}
