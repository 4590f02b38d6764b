package ssh

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"salvor/internal/secret"
)

// lentKeys is an agent for ssh(1) that has the keys of the operator's agent and, after
// them, those that are kept: each is opened when a host takes it. It only signs.
type lentKeys struct {
	kept []*keptSigner

	mu     sync.Mutex // guards what follows: one signs at a time
	held   agent.ExtendedAgent
	conn   net.Conn
	failed error
}

func newLentKeys(ctx context.Context, a Auth) *lentKeys {
	l := &lentKeys{}
	if a.Agent != "" {
		if conn, err := new(net.Dialer).DialContext(ctx, "unix", a.Agent); err == nil {
			l.held, l.conn = agent.NewClient(conn), conn
		}
	}
	for _, k := range a.Kept {
		if public, err := k.Public.parse(); err == nil {
			l.kept = append(l.kept, &keptSigner{line: k.Public, public: public, open: func() (secret.Value, error) { return k.Open(ctx) }})
		}
	}
	return l
}

func (l *lentKeys) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.Close() // nothing was written
	}
}

func (l *lentKeys) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// List implements agent.Agent.
func (l *lentKeys) List() ([]*agent.Key, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*agent.Key
	if l.held != nil {
		all, _ = l.held.List() // one that does not answer has none
	}
	for _, k := range l.kept {
		all = append(all, &agent.Key{Format: k.public.Type(), Blob: k.public.Marshal(), Comment: "kept by salvor"})
	}
	return all, nil
}

// Sign implements agent.Agent.
func (l *lentKeys) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	return l.SignWithFlags(key, data, 0)
}

// SignWithFlags implements agent.ExtendedAgent.
func (l *lentKeys) SignWithFlags(key ssh.PublicKey, data []byte, flags agent.SignatureFlags) (*ssh.Signature, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.kept {
		if !bytes.Equal(k.public.Marshal(), key.Marshal()) {
			continue
		}
		signature, err := k.Sign(rand.Reader, data)
		l.failed = errors.Join(l.failed, err)
		return signature, err
	}
	if l.held == nil {
		return nil, errors.New("no such key")
	}
	return l.held.SignWithFlags(key, data, flags)
}

var errOnlySigns = errors.New("this agent only signs")

// Extension implements agent.ExtendedAgent.
func (l *lentKeys) Extension(string, []byte) ([]byte, error) {
	return nil, agent.ErrExtensionUnsupported
}

// Add implements agent.Agent.
func (l *lentKeys) Add(agent.AddedKey) error { return errOnlySigns }

// Remove implements agent.Agent.
func (l *lentKeys) Remove(ssh.PublicKey) error { return errOnlySigns }

// RemoveAll implements agent.Agent.
func (l *lentKeys) RemoveAll() error { return errOnlySigns }

// Lock implements agent.Agent.
func (l *lentKeys) Lock([]byte) error { return errOnlySigns }

// Unlock implements agent.Agent.
func (l *lentKeys) Unlock([]byte) error { return errOnlySigns }

// Signers implements agent.Agent.
func (l *lentKeys) Signers() ([]ssh.Signer, error) { return nil, errOnlySigns }
