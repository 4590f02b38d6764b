// Package fleetkeys opens the fleet's own keys: the one that signs for it, and the recovery
// key with what is encrypted to that. What is signed by another key is not the fleet's.
package fleetkeys

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/identity"
	"salvor/internal/needs"
	"salvor/internal/secret"
	"salvor/internal/secret/sops"
	"salvor/internal/secretnames"
	"salvor/internal/sign"
)

// Keys are those of a fleet.
type Keys struct {
	checkout  *checkout.Checkout
	identity  *identity.Identity
	needs     *needs.Needs
	confirmed *confirmation.Confirmed

	signedHere map[string]bool // files of hosts/ that this command has signed

	mu  sync.Mutex // guards key
	key *sign.Key
}

// New returns the fleet's keys, as far as the identity opens them.
func New(c *checkout.Checkout, id *identity.Identity, n *needs.Needs, confirmed *confirmation.Confirmed) *Keys {
	return &Keys{checkout: c, identity: id, needs: n, confirmed: confirmed}
}

// SignWith has another key sign from now on, which is then the only one that this
// command trusts.
func (k *Keys) SignWith(key sign.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.key = &key
	k.confirmed.TrustOnly(sign.Keys{key.Public()})
}

// SigningKey returns the key that signs for the fleet, which every host trusts. It
// is opened at the first call of a command, which may ask for the operator's
// passphrase.
func (k *Keys) SigningKey(ctx context.Context) (sign.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key != nil {
		return *k.key, nil
	}
	trusted, err := k.confirmed.Trusted()
	if err != nil {
		return sign.Key{}, err
	}
	private, err := k.identity.Store.Resolve(ctx, secretnames.SignKey)
	if err != nil {
		return sign.Key{}, fmt.Errorf("the fleet's signing key: %w", err)
	}
	for _, one := range sign.SplitKeys(private) {
		key, err := sign.ParseKey(one)
		if err != nil {
			return sign.Key{}, fmt.Errorf("secret %s: %w", secretnames.SignKey, err)
		}
		if key.Public() == trusted[0] {
			k.key = &key
			return key, nil
		}
	}
	return sign.Key{}, fault.WithHint(fmt.Errorf("the secret %s is not the key %s, which is the first in %s", secretnames.SignKey, trusted[0].Fingerprint(), fleet.FleetSignersFile),
		"git log -- "+fleet.FleetSignersFile+" secrets/"+secretnames.SignKey+" shows the commit that changed only one of them")
}

// KnownSigningKey is SigningKey for the end of a command: a clone that does not trust
// the fleet's key yet is not asked about it then.
func (k *Keys) KnownSigningKey(ctx context.Context) (sign.Key, error) {
	trusts, err := k.confirmed.TrustsSigners()
	if err != nil {
		return sign.Key{}, err
	}
	if !trusts {
		return sign.Key{}, fault.WithHint(errors.New("this clone does not trust the fleet's signing key yet"), "salvor key trust")
	}
	return k.SigningKey(ctx)
}

// NewSigning makes the signing key of a new fleet, and its files in Git.
func NewSigning(name string, recipients []string) (map[string][]byte, sign.Key, error) {
	private, err := sign.NewKey(secretnames.SignKey)
	if err != nil {
		return nil, sign.Key{}, err
	}
	k, err := sign.ParseKey(private)
	if err != nil {
		return nil, sign.Key{}, err
	}
	files, err := KeptFiles(secretnames.SignKey, private, recipients)
	if err == nil {
		files[fleet.FleetSignersFile] = sign.Keys{k.Public()}.Signers(name)
	}
	return files, k, err
}

// KeptFiles is the file of a private key that Salvor keeps as a secret, or of
// several, one after the other.
func KeptFiles(name string, private secret.Value, recipients []string) (map[string][]byte, error) {
	path, err := fleet.SecretFile(name)
	if err != nil {
		return nil, err
	}
	sealed, err := sops.Encrypt(path, private, recipients)
	return map[string][]byte{path: sealed}, err
}
