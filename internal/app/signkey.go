package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// signKeyName is the secret that is the fleet's signing key.
const signKeyName = secretnames.SignKey

// FleetKeys are the fleet's own: the one that signs, and the recovery key.
type FleetKeys struct {
	checkout  *checkout.Checkout
	identity  *identity.Identity
	needs     *needs.Needs
	confirmed *confirmation.Confirmed

	signedHere map[string]bool // files of hosts/ that this command has signed

	mu  sync.Mutex // guards key
	key *sign.Key
}

// NewFleetKeys returns the fleet's keys, as far as the identity opens them.
func NewFleetKeys(c *checkout.Checkout, id *identity.Identity, n *needs.Needs, confirmed *confirmation.Confirmed) *FleetKeys {
	return &FleetKeys{checkout: c, identity: id, needs: n, confirmed: confirmed}
}

// signWith has another key sign from now on, which is then the only one that this
// command trusts.
func (a *FleetKeys) signWith(k sign.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.key = &k
	a.confirmed.TrustOnly(sign.Keys{k.Public()})
}

// SigningKey returns the key that signs for the fleet, which every host trusts. It
// is opened at the first call of a command, which may ask for the operator's
// passphrase.
func (a *FleetKeys) SigningKey(ctx context.Context) (sign.Key, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.key != nil {
		return *a.key, nil
	}
	trusted, err := a.confirmed.Trusted(ctx)
	if err != nil {
		return sign.Key{}, err
	}
	private, err := a.identity.Store.Resolve(ctx, signKeyName)
	if err != nil {
		return sign.Key{}, fmt.Errorf("the fleet's signing key: %w", err)
	}
	for _, one := range splitKeys(private) {
		k, err := sign.ParseKey(one)
		if err != nil {
			return sign.Key{}, fmt.Errorf("secret %s: %w", signKeyName, err)
		}
		if k.Public() == trusted[0] {
			a.key = &k
			return k, nil
		}
	}
	return sign.Key{}, fault.WithHint(fmt.Errorf("the secret %s is not the key %s, which is the first in %s", signKeyName, trusted[0].Fingerprint(), fleet.FleetSignersFile),
		"git log -- "+fleet.FleetSignersFile+" secrets/"+signKeyName+" shows the commit that changed only one of them")
}

// knownSigningKey is SigningKey for the end of a command: a clone that does not trust
// the fleet's key yet is not asked about it then.
func (a *FleetKeys) knownSigningKey(ctx context.Context) (sign.Key, error) {
	trusts, err := a.confirmed.TrustsSigners(ctx)
	if err != nil {
		return sign.Key{}, err
	}
	if !trusts {
		return sign.Key{}, fault.WithHint(errors.New("this clone does not trust the fleet's signing key yet"), "salvor key trust")
	}
	return a.SigningKey(ctx)
}

// newSignKey makes the signing key of a new fleet, and its files in Git.
func newSignKey(name string, recipients []string) (map[string][]byte, sign.Key, error) {
	private, err := sign.NewKey(signKeyName)
	if err != nil {
		return nil, sign.Key{}, err
	}
	k, err := sign.ParseKey(private)
	if err != nil {
		return nil, sign.Key{}, err
	}
	files, err := keptKeyFiles(signKeyName, private, recipients)
	if err == nil {
		files[fleet.FleetSignersFile] = sign.Keys{k.Public()}.Signers(name)
	}
	return files, k, err
}

// keptKeyFiles is the file of a private key that Salvor keeps as a secret, or of
// several, one after the other.
func keptKeyFiles(name string, private secret.Value, recipients []string) (map[string][]byte, error) {
	path, err := fleet.SecretFile(name)
	if err != nil {
		return nil, err
	}
	sealed, err := sops.Encrypt(path, private, recipients)
	return map[string][]byte{path: sealed}, err
}

const pemEnd = "-----END OPENSSH PRIVATE KEY-----"

// splitKeys returns the private keys that a secret has one after the other.
func splitKeys(private secret.Value) []secret.Value {
	var all []secret.Value
	rest := string(private.Reveal())
	for {
		one, after, found := strings.Cut(rest, pemEnd)
		if !found {
			return all
		}
		all = append(all, secret.NewString(one+pemEnd+"\n"))
		rest = after
	}
}
