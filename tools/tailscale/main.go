// Command control is a tailnet for the lab: Tailscale's own test control server, with a
// relay and a STUN server. It listens on its machine's address: HTTP on port 80, the relay on
// 443, STUN on 3478. The test server has no keys, tags or deletion; which key is good is said
// by PUT /lab/key, see keys.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tailscale.com/derp/derpserver"
	"tailscale.com/net/stunserver"
	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
)

func main() {
	address := flag.String("address", "", "the address of this machine on the hosts' network")
	domain := flag.String("domain", "lab.ts.net", "the tailnet's domain")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *address, *domain); err != nil {
		log.Fatal(err)
	}
}

const (
	controlPort = 80
	relayPort   = 443
	stunPort    = 3478
)

func serve(ctx context.Context, address, domain string) error {
	if _, err := netip.ParseAddr(address); err != nil {
		return err
	}
	relay := derpserver.New(key.NewNode(), log.Printf)
	defer relay.Close()
	at, err := net.Listen("tcp", net.JoinHostPort(address, fmt.Sprint(relayPort)))
	if err != nil {
		return err
	}
	web := httptest.NewUnstartedServer(derpserver.Handler(relay))
	web.Listener.Close()
	web.Listener = at
	web.StartTLS()
	defer web.Close()
	stun := stunserver.New(ctx)
	if err := stun.Listen(net.JoinHostPort(address, fmt.Sprint(stunPort))); err != nil {
		return err
	}
	go func() { log.Print(stun.Serve()) }()

	members := &testcontrol.Server{
		DERPMap: relays(address), AllNodesSameUser: true, AllOnline: true,
		MagicDNSDomain: domain, ExplicitBaseURL: "http://" + address,
		DNSConfig: &tailcfg.DNSConfig{Proxied: true, Domains: []string{domain}},
	}
	admitted := &keys{members: members}
	members.MaybeRateLimitRegister = admitted.register
	mux := http.NewServeMux()
	mux.Handle("PUT /lab/key", admitted)
	mux.Handle("/", members)
	server := &http.Server{Addr: net.JoinHostPort(address, fmt.Sprint(controlPort)), Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return nil
}
