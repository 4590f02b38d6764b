package agekey

import (
	"fmt"

	"filippo.io/age"

	"salvor/internal/secret"
)

// RecoveryPath is where the repository keeps the recovery identity, encrypted
// to the operators.
const RecoveryPath = "recovery.age"

// SealRecovery returns the content of recovery.age: the recovery identity as an
// identity file, encrypted to the operators, so that an operator can print the card
// again. The key itself has no passphrase: anyone who has the card can open
// everything.
func SealRecovery(key Key, operators ...string) ([]byte, error) {
	if len(operators) == 0 {
		return nil, fmt.Errorf("%s: no operator to encrypt it to", RecoveryPath)
	}
	return Encrypt(key.IdentityFile(), operators...)
}

// OpenRecovery reads recovery.age.
func OpenRecovery(data []byte, operator Keyring) (Key, error) {
	plain, err := Decrypt(RecoveryPath, data, operator)
	if err != nil {
		return Key{}, err
	}
	return singleKey(RecoveryPath, plain.Reveal())
}

func singleKey(name string, data []byte) (Key, error) {
	ids, err := ParseIdentities(name, data, nil)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", secret.ErrLocked, err)
	}
	id, ok := ids[0].(*age.X25519Identity)
	if len(ids) != 1 || !ok {
		return Key{}, fmt.Errorf("%s: holds %d identities, want one", name, len(ids))
	}
	return newKey(id), nil
}
