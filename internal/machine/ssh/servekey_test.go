package ssh

import (
	"crypto/ed25519"
	"encoding/pem"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func TestServeKey(t *testing.T) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	socket, stop, err := ServeKey(t.Context(), pem.EncodeToMemory(block))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := agent.NewClient(conn).List()
	if err != nil || len(keys) != 1 || keys[0].Format != ssh.KeyAlgoED25519 {
		t.Errorf("the agent has %v, %v", keys, err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	stop()
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is still there")
	}
	if _, _, err := ServeKey(t.Context(), []byte("hunter2-canary")); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("no key: %v", err)
	}
}
