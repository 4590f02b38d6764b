package reach

import (
	"errors"
	"net"
	"testing"

	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/machine/ssh"
	"salvor/internal/machine/sshtest"
)

// away is an address of this machine where no test's server listens.
const away = "127.0.0.3"

// TestTheTailnetIsPreferred: the host is reached at its address there, by the pinned key, and at
// its own where it is not there or another machine answers.
func TestTheTailnetIsPreferred(t *testing.T) {
	server, other := sshtest.Start(t), sshtest.Start(t)
	for name, c := range map[string]struct {
		tailnet, own, key, reached string
	}{
		"by the tailnet":                      {tailnet: "127.0.0.1", own: away, key: server.HostKey, reached: "127.0.0.1"},
		"it is not there":                     {tailnet: away, own: "127.0.0.1", key: server.HostKey, reached: "127.0.0.1"},
		"nothing is known":                    {own: "127.0.0.1", key: server.HostKey, reached: "127.0.0.1"},
		"nowhere":                             {tailnet: away, own: "127.0.0.4", key: server.HostKey},
		"another machine has the address now": {tailnet: "127.0.0.1", own: away, key: other.HostKey},
		"this computer is in no tailnet":      {tailnet: "100.64.0.1", own: "127.0.0.1", key: server.HostKey, reached: "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			h := fleet.Host{Name: "alpha", Address: c.own, Port: server.Port}
			repo := &controlrepo.Repository{Lock: fleet.Lock{Tailnet: map[string]string{"alpha": c.tailnet}}}
			d := New(&checkout.Checkout{Repository: repo}, Options{Own: func() ([]net.Addr, error) { return nil, nil }})
			o := ssh.Options{Name: "alpha", Address: h.Address, Port: h.Port, Keys: []ssh.PublicKey{ssh.PublicKey(c.key)}, Auth: ssh.Auth{Files: []string{server.UserKey}}}
			m, err := d.connect(t.Context(), h, o)
			if (err == nil) != (c.reached != "") {
				t.Fatal(err)
			}
			if err == nil {
				err = m.Close()
			} else if errors.Is(err, machine.ErrUnreachable) {
				err = nil // at its own address: what the other one said is not the host's
			}
			if err != nil {
				t.Error(err)
			}
			if best := d.best(t.Context(), h, o); c.reached != "" && best.Address != c.reached || c.reached == "" && best.Address != c.own {
				t.Errorf("ssh goes to %s", best.Address)
			}
		})
	}
}

// TestAComputerOfTheTailnet has an address of its own where Tailscale's are; no jump host is
// needed from there.
func TestAComputerOfTheTailnet(t *testing.T) {
	t.Parallel()
	for own, in := range map[string]bool{"100.100.1.2/32": true, "192.0.2.1/24": false, "100.128.0.1/10": false, "fd7a:115c:a1e0::1/128": false} {
		repo := &controlrepo.Repository{Lock: fleet.Lock{Tailnet: map[string]string{"alpha": "100.64.0.1"}}}
		d := New(&checkout.Checkout{Repository: repo}, Options{Own: func() ([]net.Addr, error) {
			ip, n, err := net.ParseCIDR(own)
			return []net.Addr{&net.IPNet{IP: ip, Mask: n.Mask}}, err
		}})
		near, ok := d.near(fleet.Host{Name: "alpha"}, ssh.Options{Address: "192.0.2.10", Jump: &ssh.Options{}})
		if ok != in || in && (near.Address != "100.64.0.1" || near.Jump != nil) {
			t.Errorf("%s: %t, %+v", own, ok, near)
		}
	}
}
