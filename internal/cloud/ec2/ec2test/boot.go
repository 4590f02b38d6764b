package ec2test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"salvor/internal/machine"
	"salvor/internal/machine/machinetest"
	"salvor/internal/machine/sshtest"
)

// A Boot is what an instance starts with.
type Boot struct {
	Address  string
	Port     int
	UserData string
	Line     string // of the key pair
}

// Boots has instances that start from now on made by boot; end is called once they are
// terminated.
func (s *Server) Boots(boot func(ctx context.Context, b Boot) (end func(), err error)) {
	s.Hosts(func(ctx context.Context, b Boot) (string, func(), error) {
		end, err := boot(ctx, b)
		return b.Address, end, err
	})
}

// Hosts is Boots for instances that have addresses of their own.
func (s *Server) Hosts(boot func(ctx context.Context, b Boot) (address string, end func(), err error)) {
	s.set(func() { s.boot = boot })
}

// Root has what root runs on instances that start from now on run by machine.
func (s *Server) Root(t testing.TB, m machine.Machine) {
	s.Boots(func(ctx context.Context, b Boot) (func(), error) { return Start(ctx, t.TempDir(), b, m) })
}

// bootFake makes instances on which a root's program says nothing and succeeds.
func (s *Server) bootFake(t testing.TB) func(context.Context, Boot) (func(), error) {
	return func(ctx context.Context, b Boot) (func(), error) {
		root := machinetest.NewFake()
		root.Say(0, "", "true")
		return Start(ctx, t.TempDir(), b, root)
	}
}

// cloudConfig is what cloud-init does here with user-data.
type cloudConfig struct {
	DisableRoot *bool    `json:"disable_root"`
	Keys        []string `json:"ssh_authorized_keys"`
	HostKeys    struct {
		Private string `json:"ed25519_private"`
		Public  string `json:"ed25519_public"`
	} `json:"ssh_keys"`
}

// Start starts an SSH server as cloud-init makes one of an image: with the host key of the
// user-data, or one of its own; root's keys are the key pair's and the user-data's, where
// root may log in.
func Start(ctx context.Context, dir string, b Boot, root machine.Machine) (end func(), err error) {
	content, is := strings.CutPrefix(b.UserData, "#cloud-config\n")
	if !is {
		return nil, errors.New("user-data is not a cloud-config")
	}
	var c cloudConfig
	if err := json.Unmarshal([]byte(content), &c); err != nil {
		return nil, fmt.Errorf("user-data: %w", err)
	}
	o := sshtest.FakeOptions{User: "root", KeysOnly: true, Root: root, Listen: fmt.Sprintf("%s:%d", b.Address, b.Port), Private: c.HostKeys.Private}
	if c.DisableRoot != nil && !*c.DisableRoot {
		o.Lines = append([]string{b.Line}, c.Keys...)
	}
	f, err := sshtest.StartFake(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	if c.HostKeys.Public != "" && c.HostKeys.Public != f.HostKey {
		f.Close()
		return nil, errors.New("user-data: the public host key is not that of the private one")
	}
	return f.Close, nil
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.77.0.250:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
