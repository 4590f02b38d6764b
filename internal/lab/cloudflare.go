package lab

import (
	"context"
	"net"
	"net/http"
	"time"

	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/fleet"
	"salvor/internal/lab/edge"
)

// A Cloudflare is an emulated account at Cloudflare in this process, with its edge. Machines of
// the lab find the API under its own name, and so do connectors the edge.
type Cloudflare struct {
	*cloudflaretest.Server
	*internet
	Edge    *edge.Edge
	Visitor *http.Client // anyone's browser: every hostname leads it to the edge

	lab *Lab
}

// connectorPort is where the edge has connectors come. Source: cloudflared, edgediscovery.
const connectorPort = 7844

// StartCloudflare starts an account that has nothing in it, until ctx ends. Hosts that are made
// later, or replaced, find it.
func StartCloudflare(ctx context.Context, l *Lab) (*Cloudflare, error) {
	i, err := l.online(ctx)
	if err != nil {
		return nil, err
	}
	c := &Cloudflare{Server: &cloudflaretest.Server{}, internet: i, lab: l}
	c.Edge = edge.New(c.Server)
	if _, err := c.Edge.Listen(ctx, at(i.gateway, connectorPort)); err != nil {
		return nil, err
	}
	i.front.Handle(c.Server, "api.cloudflare.com")
	i.front.HandleOthers(c.Edge)
	plain, err := c.plain(ctx)
	if err != nil {
		return nil, err
	}
	c.Visitor = edge.Client(net.JoinHostPort(i.gateway, httpsPort), plain, i.front.CA)
	return c, i.resolve(ctx, c.name)
}

// plain serves visitors without TLS on loopback.
func (c *Cloudflare) plain(ctx context.Context) (address string, err error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: c.Edge, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { server.Close() })
	go server.Serve(ln) //nolint:errcheck // that it was closed
	return ln.Addr().String(), nil
}

// StockConnector puts the lab's connector into a registry, under the name of cloudflared's image
// that hosts run.
func (c *Cloudflare) StockConnector(ctx context.Context, r *Registry) error {
	tag, err := c.lab.goImage(ctx, "cloudflared", "USER 65532:65532", `ENTRYPOINT ["cloudflared", "--no-autoupdate"]`)
	if err != nil {
		return err
	}
	_, err = r.PushAs(ctx, tag, fleet.ConnectorImage)
	return err
}
