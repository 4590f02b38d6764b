package reach

import (
	"testing"

	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/fleet"
	"salvor/internal/machine/ssh"
)

// TestS17ARevokedKeyIsNotPinned is the marker of known_hosts that says so.
func TestS17ARevokedKeyIsNotPinned(t *testing.T) {
	name, stolen := []string{"192.0.2.10"}, []byte("stolen")
	keys := []controlrepo.HostKey{{Patterns: name, Type: "ssh-ed25519", Key: stolen}, {Marker: "@revoked", Patterns: []string{"*"}, Type: "ssh-ed25519", Key: stolen}}
	if found := Pinned(keys, "192.0.2.10", 22); len(found) > 0 {
		t.Errorf("pinned: %v", found)
	}
	d := New(&checkout.Checkout{Repository: &controlrepo.Repository{HostKeys: keys[1:]}}, Options{})
	if err := d.Pin(fleet.Host{Name: "alpha", Address: "192.0.2.10"}, ssh.PublicKey("ssh-ed25519 c3RvbGVu")); err == nil {
		t.Error("it is pinned again")
	}
}
