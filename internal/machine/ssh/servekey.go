package ssh

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"salvor/internal/socketdir"
)

// ServeKey offers one private key to ssh(1) through an agent in this process, at the
// socket for SSH_AUTH_SOCK: so it is never in a file. pem is a key without a
// passphrase, as OpenSSH writes it. stop ends the agent.
func ServeKey(ctx context.Context, pem []byte) (socket string, stop func(), err error) {
	key, err := ssh.ParseRawPrivateKey(pem)
	if err != nil {
		return "", nil, errors.New("no SSH private key without a passphrase") // the library may quote it
	}
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		return "", nil, err
	}
	return serveAgent(ctx, keys)
}

// serveAgent offers keys at a socket that only this user can open.
func serveAgent(ctx context.Context, keys agent.Agent) (socket string, stop func(), err error) {
	dir, err := socketdir.Make("salvor-agent-")
	if err != nil {
		return "", nil, err
	}
	socket = filepath.Join(dir, "agent")
	ln, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // closed
			}
			go func() { _ = agent.ServeAgent(keys, conn) }() // ends when ssh hangs up
		}
	}()
	return socket, func() { _ = errors.Join(ln.Close(), os.RemoveAll(dir)) }, nil
}
