package seal

import (
	"fmt"

	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

// SealKey returns recovery.age, the recovery key encrypted to the operators, signed
// by the fleet's key: a card that is printed from another one opens nothing.
func SealKey(recovery agekey.Key, key sign.Key, operators ...string) (Signed, error) {
	file, err := agekey.SealRecovery(recovery, operators...)
	if err != nil {
		return Signed{}, err
	}
	signature, err := key.Sign(Kind, agekey.RecoveryPath, file)
	return Signed{file, signature}, err
}

// OpenKey opens what SealKey returned. One that none of the fleet's keys has signed
// wraps sign.ErrUntrusted, and so does a key other than the fleet's recovery key.
func (s Signed) OpenKey(trusted sign.Keys, operator agekey.Keyring, recipient string) (agekey.Key, error) {
	if _, err := trusted.Verify(Kind, agekey.RecoveryPath, s.File, s.Signature); err != nil {
		return agekey.Key{}, err
	}
	key, err := agekey.OpenRecovery(s.File, operator)
	if err == nil && key.Recipient != recipient {
		err = fmt.Errorf("%s has the key of %s, but the fleet's recovery key is %s: %w", agekey.RecoveryPath, key.Recipient, recipient, sign.ErrUntrusted)
	}
	if err != nil {
		return agekey.Key{}, err
	}
	return key, nil
}
