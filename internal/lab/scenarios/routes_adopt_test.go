package scenarios

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/fleet"
	"salvor/internal/lab/edge"
)

const (
	homelab      = "homelab"
	itsConnector = "cloudflared-agent-" + homelab // as DockFlare calls it
)

// adoptDockFlare has Salvor take over what DockFlare has published on beta, while a member and
// someone without identity ask for it: no request of the first fails, none of the second passes.
func (p *published) adoptDockFlare(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	shop := site{"shop", "shop", true}
	tunnel := p.cloud.AddTunnel(homelab, 0)
	p.leftByDockFlare(t, tunnel, shop)
	must(t, p.w.Write("stacks/shop/html/health", "shop\n"))
	must(t, p.w.Write("stacks/shop/compose.yaml", fmt.Sprintf(`x-salvor:
  host: beta
services:
  app:
    image: %s
    restart: unless-stopped
    volumes: ["./html:/usr/share/nginx/html:ro"]
    networks: {cloudflare-net: {aliases: [shop]}}
    labels:
      dockflare.enable: "true"
      dockflare.hostname: shop.example.com
      dockflare.service: http://shop:80
      dockflare.access.group: family
networks:
  cloudflare-net: {external: true}
`, p.images.Nginx)))
	must(t, p.w.Commit(ctx, "a shop, which DockFlare publishes"))
	_, err := p.w.Salvor(ctx, nil, "apply")
	must(t, err)
	exec(t, p.beta, fmt.Sprintf("docker run -d --restart unless-stopped --name %s --label managed-by=dockflare --network cloudflare-net %s tunnel --no-autoupdate run --token %s",
		itsConnector, fleet.ConnectorImage, p.cloud.ConnectorToken(tunnel)))
	member := p.watch(t, shop)
	eventually(t, "the shop answers by DockFlare's connector", func() error {
		select {
		case <-member.Succeeded():
			return nil
		default:
			return fmt.Errorf("%s", member.SoFar().LastFailure)
		}
	})
	member.Stop()

	member = p.watch(t, shop)
	stranger := edge.Probe{Client: p.cloud.Visitor, URL: shop.url()}.Start(ctx)
	shown, err := p.w.Salvor(ctx, nil, "route", "adopt", "--host", "beta")
	must(t, err)
	t.Log(shown)
	eventually(t, "DockFlare's connector has stopped, and Salvor's serves its tunnel", func() error {
		if state := exec(t, p.beta, "docker inspect -f '{{.State.Running}}' "+itsConnector); state != "false" {
			return fmt.Errorf("it runs")
		}
		if len(p.cloud.Edge.Connections(tunnel)) == 0 {
			return fmt.Errorf("no connector serves it")
		}
		return nil
	})
	r := member.Stop()
	t.Logf("the shop while it was taken over: %s", r)
	if r.Failed > 0 {
		t.Errorf("%d requests failed, the last: %s", r.Failed, r.LastFailure)
	}
	if r := stranger.Stop(); r.Succeeded > 0 {
		t.Errorf("someone without identity got to the shop: %s", r)
	}
	p.Count("requests while DockFlare's were taken over", r.Asked)
	for _, record := range p.cloud.Records("example.com") {
		if record.Name == shop.hostname() && !strings.HasPrefix(record.Comment, "salvor:") {
			t.Errorf("its record has no mark: %+v", record)
		}
	}
}

// leftByDockFlare puts into the account what DockFlare leaves there for a protected container.
func (p *published) leftByDockFlare(t *testing.T, tunnel string, s site) {
	t.Helper()
	must(t, p.cloud.EditConfiguration(tunnel, json.RawMessage(fmt.Sprintf(
		`{"ingress":[{"hostname":%q,"service":"http://shop:80","originRequest":{"noTLSVerify":false}},{"service":"http_status:404"}]}`, s.hostname()))))
	p.cloud.EditRecords("example.com", func(all []cloudflaretest.Record) []cloudflaretest.Record {
		return append(all, cloudflaretest.Record{Type: "CNAME", Name: s.hostname(), Content: tunnel + ".cfargotunnel.com", Proxied: true, TTL: 1})
	})
	p.cloud.EditApps(func(all []json.RawMessage) []json.RawMessage {
		return append(all, json.RawMessage(fmt.Sprintf(`{"name":"DockFlare-%[1]s","type":"self_hosted","domain":%[1]q,"self_hosted_domains":[%[1]q],"session_duration":"24h",
			"policies":[{"name":"DockFlare Access Group: family","decision":"allow","include":[{"email_domain":{"domain":"example.org"}}],"require":[{"login_method":{"id":%[2]q}}]}]}`, s.hostname(), p.google)))
	})
}
