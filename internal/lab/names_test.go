package lab

import (
	"context"
	"errors"
	"net"
	"testing"
)

// TestConnectorsFindTheEdge asks as cloudflared does.
func TestConnectorsFindTheEdge(t *testing.T) {
	ctx := t.Context()
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &Cloudflare{internet: &internet{gateway: "10.200.0.1"}}
	go answerNames(conn, c.name)
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, conn.LocalAddr().String())
	}}
	_, found, err := r.LookupSRV(ctx, "v2-origintunneld", "tcp", "argotunnel.com")
	if err != nil || len(found) != 2 || found[0].Port != connectorPort {
		t.Fatalf("%+v, %v", found, err)
	}
	for _, srv := range found {
		if all, err := r.LookupHost(ctx, srv.Target); err != nil || len(all) != 1 || all[0] != "10.200.0.1" {
			t.Errorf("%s: %v, %v", srv.Target, all, err)
		}
	}
	var none *net.DNSError
	if _, err := r.LookupHost(ctx, "example.com."); !errors.As(err, &none) || !none.IsNotFound {
		t.Errorf("a name that is not the lab's: %v", err)
	}
}
