package tailnet

import (
	"errors"
	"strings"
	"testing"
	"time"

	"salvor/internal/machine/debiantest"
)

// real is what 1.98.10 printed on a host, shortened.
const real = `{"Version": "1.98.10", "TUN": true, "BackendState": "Running", "HaveNodeKey": true, "TailscaleIPs": ["fd7a:115c:a1e0::1", "100.64.0.1"],
"Self": {"ID": "n1", "HostName": "alpha", "DNSName": "alpha.lab.ts.net.", "TailscaleIPs": ["100.64.0.1"], "KeyExpiry": "2027-05-29T15:00:00Z", "Online": true}, "Peer": null}`

func TestParseStatus(t *testing.T) {
	for name, c := range map[string]struct {
		said, address, absence string
		expires                time.Time
	}{
		"up":                {said: real, address: "100.64.0.1", expires: time.Date(2027, 5, 29, 15, 0, 0, 0, time.UTC)},
		"logged out":        {said: `{"BackendState": "NeedsLogin", "TUN": true, "Self": {}}`, absence: "it is logged out: NeedsLogin"},
		"down":              {said: strings.Replace(real, "Running", "Stopped", 1), absence: "it is down: Stopped", expires: time.Date(2027, 5, 29, 15, 0, 0, 0, time.UTC)},
		"without interface": {said: `{"BackendState": "Running", "TUN": false, "TailscaleIPs": ["100.64.0.1"]}`, absence: "it has no IPv4 address there, or tailscaled runs without a network interface"},
		"nothing":           {said: `{}`, absence: "it is logged out: "},
	} {
		s, err := ParseStatus([]byte(c.said))
		if err != nil {
			t.Fatal(err)
		}
		if s.Address.IsValid() != (c.address != "") || c.address != "" && s.Address.String() != c.address {
			t.Errorf("%s: address %v, want %q", name, s.Address, c.address)
		}
		if s.Absence() != c.absence || !s.Expires.Equal(c.expires) {
			t.Errorf("%s: absence %q, want %q; expires %v, want %v", name, s.Absence(), c.absence, s.Expires, c.expires)
		}
	}
}

func TestAHostWithoutTailscaleHasNoStatus(t *testing.T) {
	if _, err := StatusOf(t.Context(), debiantest.New()); !errors.Is(err, ErrNotThere) {
		t.Errorf("%v", err)
	}
}

// FuzzStatus: what tailscaled prints may be anything. An address is IPv4, and only of a host
// that runs; nothing in it can move a terminal's cursor.
func FuzzStatus(f *testing.F) {
	f.Add([]byte(real))
	f.Add([]byte(`{"BackendState": "a\u001b[2J\n", "TailscaleIPs": ["::ffff:1.2.3.4", null], "TUN": true}`))
	f.Fuzz(func(t *testing.T, said []byte) {
		s, err := ParseStatus(said)
		if err != nil {
			return
		}
		if s.Address.IsValid() && (!s.Address.Is4() || s.Backend != "Running") {
			t.Errorf("address %v while %q", s.Address, s.Backend)
		}
		if (s.Absence() == "") != s.Address.IsValid() || strings.ContainsAny(s.Absence(), "\n\x1b") {
			t.Errorf("absence %q with address %v", s.Absence(), s.Address)
		}
	})
}
