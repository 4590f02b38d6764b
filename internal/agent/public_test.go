package agent

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// TestPortsOnPublicAddresses that the host does not declare are findings, which say whether the firewall closes them.
func TestPortsOnPublicAddresses(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("100.99.1.2"), netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("fd7a::1")}
	engine := &agentapi.Engine{Containers: []agentapi.HostContainer{
		{Name: "web", Ports: []project.HostPort{{Address: "0.0.0.0", Protocol: "tcp", First: 80, Last: 80}, {Address: "::", Protocol: "tcp", First: 80, Last: 80}, {Protocol: "udp", First: 6000, Last: 6010}}},
		{Name: "db", Ports: []project.HostPort{{Address: "127.0.0.1", Protocol: "tcp", First: 5432, Last: 5432}, {Address: "10.0.0.5", Protocol: "tcp", First: 5433, Last: 5433}, {Address: "100.99.1.2", Protocol: "tcp", First: 5434, Last: 5434}}},
		{Name: "six", Ports: []project.HostPort{{Address: "::", Protocol: "tcp", First: 81, Last: 81}}},
		{Name: "one", Ports: []project.HostPort{{Address: "198.51.100.7", Protocol: "tcp", First: 443, Last: 443}}},
	}}
	for name, c := range map[string]struct {
		own    []netip.Addr
		closes bool
		open   []fleet.OpenPort
		want   []string
	}{
		"a home server": {own[:3], false, nil, nil},
		"open": {own, false, []fleet.OpenPort{"443/tcp"}, []string{
			"warning alpha/web: 80/tcp, 6000-6010/udp is published on 198.51.100.7, a public address: everyone reaches it who is not kept out elsewhere [port-public]",
			"warning alpha/six: 81/tcp is published on 2001:db8::7, a public address: everyone reaches it who is not kept out elsewhere [port-public]",
		}},
		"closed": {own[:4], true, []fleet.OpenPort{"80/tcp", "6000-6020/udp"}, []string{
			"info alpha/one: 443/tcp is published on 198.51.100.7, a public address; Salvor's firewall closes it [port-public]",
		}},
	} {
		spec := agentapi.Host{Name: "alpha", Outside: agentapi.Outside{Open: c.open}}
		var got []string
		for _, f := range publicFindings(spec, engine, c.own, c.closes) {
			got = append(got, string(f.Severity)+" "+f.String())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := publicFindings(agentapi.Host{Name: "alpha"}, nil, own, false); got != nil {
		t.Errorf("without an engine: %v", got)
	}
}
