package ssh

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"

	"salvor/internal/machine"
)

// perConnection is how many keys one connection offers. sshd ends a connection after MaxAuthTries refused ones, six
// by default; the next ones are offered over another.
const perConnection = 5

// An offer is the keys that one connection tries.
type offer struct {
	skip   int  // of all keys, those that were refused
	more   bool // there are others after them
	signed ssh.PublicKey
}

// of returns the keys to try.
func (f *offer) of(all []ssh.Signer) []ssh.Signer {
	all = all[min(f.skip, len(all)):]
	f.more = len(all) > perConnection
	if f.more {
		all = all[:perConnection]
	}
	var noted []ssh.Signer
	for _, s := range all {
		if as, ok := s.(ssh.AlgorithmSigner); ok {
			noted = append(noted, notedAlgorithms{as, f})
		} else {
			noted = append(noted, notedSigner{s, f})
		}
	}
	return noted
}

// next reports whether the host refused these keys and there are others to try.
func (f *offer) next(err error) bool {
	if !f.more || !errors.Is(err, machine.ErrDenied) || f.signed != nil {
		return false
	}
	f.skip += perConnection
	return true
}

// own reports whether the host took a key that is not a kept one: those are opened only for a host that takes no other.
func (f *offer) own(kept []KeptKey) bool {
	return f.signed != nil && !slices.ContainsFunc(kept, func(k KeptKey) bool { return isKey(string(k.Public), f.signed) })
}

// A notedSigner notes that the host takes its key: a host asks for a signature of no other.
type notedSigner struct {
	ssh.Signer
	offer *offer
}

// Sign implements ssh.Signer.
func (s notedSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	s.offer.signed = s.PublicKey()
	return s.Signer.Sign(rand, data)
}

type notedAlgorithms struct {
	ssh.AlgorithmSigner
	offer *offer
}

// SignWithAlgorithm implements ssh.AlgorithmSigner.
func (s notedAlgorithms) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	s.offer.signed = s.PublicKey()
	return s.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
}

// first moves the key that the host took last to the front.
func first(all []ssh.Signer, last PublicKey) []ssh.Signer {
	i := slices.IndexFunc(all, func(s ssh.Signer) bool { return isKey(string(last), s.PublicKey()) })
	if i <= 0 {
		return all
	}
	return slices.Concat(all[i:i+1], all[:i], all[i+1:])
}

// Unlocked has private keys whose passphrase was typed, for the next connections of this process. Its zero value has
// none.
type Unlocked struct {
	mu   sync.Mutex
	keys []ssh.Signer
}

func (u *Unlocked) find(public ssh.PublicKey) ssh.Signer {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if i := index(u.keys, public); i >= 0 {
		return u.keys[i]
	}
	return nil
}

func (u *Unlocked) add(key ssh.Signer) {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.keys = append(u.keys, key)
}

// lineOf is a key as authorized_keys has it.
func lineOf(key ssh.PublicKey) PublicKey {
	return PublicKey(bytes.TrimSpace(ssh.MarshalAuthorizedKey(key)))
}
