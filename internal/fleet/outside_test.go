package fleet

import (
	"strings"
	"testing"
)

func TestSources(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"tailnet": "tailnet", "192.0.2.10": "192.0.2.10", "192.0.2.0/24": "192.0.2.0/24", "192.0.2.10/32": "192.0.2.10", "2001:db8::/32": "2001:db8::/32", "::ffff:192.0.2.1": "192.0.2.1",
		"192.0.2.7/24": "write the network as 192.0.2.0/24", "home.example.net": "is not an address", "": "is not an address", "fe80::1%eth0": "is not an address",
	} {
		got, err := ParseSource(text)
		if err == nil && string(got) != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestOpenPorts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"80": "80/tcp", "443/tcp": "443/tcp", "53/udp": "53/udp", "6000-6010/udp": "6000-6010/udp", "7-7": "7/tcp",
		"0": "", "65536": "", "80/sctp": "", "10-9": "", "http": "", "": "", "+80": "",
	} {
		got, err := ParseOpenPort(text)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	p := OpenPort("6000-6010/udp")
	if !p.Has(6000, "udp") || !p.Has(6010, "udp") || p.Has(6011, "udp") || p.Has(6000, "tcp") || !OpenPort("80/tcp").Has(80, "tcp") {
		t.Errorf("%s has other ports", p)
	}
}
