package app

import (
	"testing"

	"salvor/internal/fleet"
	"salvor/internal/machine/sshtest"
	"salvor/internal/reach"
)

// TestS17TheKeyIsFetchedThroughTheJumpHost: the operator's own network was asked for
// the key of a host that is reached through another one, and the jump host's key was
// not pinned.
func TestS17TheKeyIsFetchedThroughTheJumpHost(t *testing.T) {
	server := sshtest.Start(t)
	a := openWith(t, Options{Dir: printedRepo(t, newKey(t).Recipient), SSHKey: server.UserKey})
	h := fleet.Host{Name: "inner", Address: "127.0.0.1", Port: server.Port, User: "root", Jump: "root@" + reach.KnownHostsName("127.0.0.1", server.Port)}
	jump, unpinned := a.Reach.Jump(h)
	if !unpinned || jump.Port != server.Port {
		t.Fatalf("jump host %+v, unpinned %v", jump, unpinned)
	}
	if key, err := a.Reach.ScanHost(t.Context(), h); err == nil {
		t.Errorf("a key came through a jump host that nobody trusts: %v", key)
	}
	shown, err := a.Reach.ScanHost(t.Context(), jump)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Hosts.PinJump(t.Context(), jump, shown.Key); err != nil {
		t.Fatal(err)
	}
	key, err := a.Reach.ScanHost(t.Context(), h)
	if err != nil || string(key.Key) != server.HostKey {
		t.Errorf("through the jump host: %v, %v", key, err)
	}
	if _, unpinned := a.Reach.Jump(h); unpinned || a.Hosts.jumpKeys[0] != reach.KnownHostsName("127.0.0.1", server.Port)+" "+server.HostKey {
		t.Errorf("for %s: %v", fleet.KnownHostsFile, a.Hosts.jumpKeys)
	}
}
