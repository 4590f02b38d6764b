package project

import "testing"

// TestAnAddressInTheTailnetIsOneOfItsHost: it has no port in common with another address of
// the host, and all of them with every one.
func TestAnAddressInTheTailnetIsOneOfItsHost(t *testing.T) {
	const tailnet = "${" + TailnetIP + "}"
	for other, common := range map[string]bool{"127.0.0.1": false, "192.0.2.1": false, "::1": false, "0.0.0.0": true, "": true, tailnet: true, "${SECRET}": true} {
		one := HostPort{Address: tailnet, Protocol: "tcp", First: 80, Last: 80}
		if got := one.Common(HostPort{Address: other, Protocol: "tcp", First: 80, Last: 80}) == 80; got != common {
			t.Errorf("%q: in common %t", other, got)
		}
	}
}
