package fleetkeys

import (
	"errors"
	"fmt"

	"filippo.io/age"

	"salvor/internal/fault"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

// Recovery returns the fleet's recovery key: the present identity if that is it, as
// with the card, else the one that the repository keeps for the operators.
func (k *Keys) Recovery() (agekey.Key, error) {
	key, is, err := k.OwnRecovery()
	if err != nil {
		return key, fmt.Errorf("%s: %w", agekey.RecoveryPath, err)
	}
	if is {
		return key, nil
	}
	sealed, err := k.needs.Signed(agekey.RecoveryPath)
	if err != nil {
		return agekey.Key{}, err
	}
	trusted, err := k.confirmed.Trusted()
	if err != nil {
		return agekey.Key{}, err
	}
	key, err = sealed.OpenKey(trusted, k.identity.Ring, k.checkout.Fleet.Recipients.Recovery)
	if err == nil {
		k.identity.Trail.Add(agekey.RecoveryPath)
	}
	return key, hintUntrusted(err, agekey.RecoveryPath)
}

// OwnRecovery returns the recovery key if the present identity has it.
func (k *Keys) OwnRecovery() (key agekey.Key, is bool, err error) {
	ids, err := k.identity.Ring.Identities()
	for _, id := range ids {
		x, plain := id.(*age.X25519Identity)
		if plain && x.Recipient().String() == k.checkout.Fleet.Recipients.Recovery {
			return agekey.Key{Recipient: x.Recipient().String(), Secret: secret.NewString(x.String())}, true, nil
		}
	}
	return key, false, err
}

// OpenRecovery opens the passwords of a stack's repositories, which must be what the
// fleet's key has signed.
func (k *Keys) OpenRecovery(stack string, sealed seal.Signed) (seal.Recovery, error) {
	trusted, err := k.confirmed.Trusted()
	if err != nil {
		return seal.Recovery{}, err
	}
	r, err := sealed.OpenRecovery(trusted, k.identity.Ring, stack)
	if err == nil {
		k.identity.Trail.Add(seal.RecoveryPath(stack))
	}
	return r, hintUntrusted(err, seal.RecoveryPath(stack))
}

// hintUntrusted says what to do about a file that the fleet's key has not signed and
// that Salvor can't make again.
func hintUntrusted(err error, file string) error {
	if !errors.Is(err, sign.ErrUntrusted) {
		return err
	}
	return fault.WithHint(err, fmt.Sprintf("git log -- %s shows who changed it; git checkout COMMIT -- %s %s restores "+
		"the version that the fleet has signed", file, file, seal.SignaturePath(file)))
}
