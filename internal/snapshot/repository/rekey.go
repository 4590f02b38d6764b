package repository

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/poly1305" //nolint:staticcheck // the format's MAC; there is no other implementation
	"golang.org/x/crypto/scrypt"

	"salvor/internal/secret"
)

// Cost of the key derivation in key files that Rekey writes. restic's own takes
// half a second of CPU each time it starts, to slow down guessing; a generated
// password of 256 bits is not to be guessed at any speed.
const (
	quickN = 1 << 10
	quickR = 8
	quickP = 1
)

// strong is the least length of a password that Rekey takes for a generated
// one: 32 random bytes, in whatever encoding.
const strong = 43

// Rekey replaces the repository's key files by one that opens in a millisecond.
// Every restic reads it. A password that may have been chosen by a person is
// left with restic's own. It may be called again after having been cut short.
func Rekey(ctx context.Context, r *Repository, password secret.Value) error {
	if len(password.Reveal()) < strong {
		return nil
	}
	old, err := r.store.List(ctx, "keys")
	if err != nil {
		return err
	}
	content, err := r.key.keyFile(password, time.Now())
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	if _, err := r.store.Put(ctx, "keys/"+hex.EncodeToString(sum[:]), bytes.NewReader(content), int64(len(content))); err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	for _, k := range old {
		if err := r.store.Delete(ctx, "keys/"+k.Path); err != nil {
			return fmt.Errorf("remove old key: %w", err)
		}
	}
	return nil
}

// keyFile seals the master key with one derived from password.
func (k masterKey) keyFile(password secret.Value, now time.Time) ([]byte, error) {
	salt := make([]byte, 64)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	derived, err := scrypt.Key(password.Reveal(), salt, quickN, quickR, quickP, 64)
	if err != nil {
		return nil, err
	}
	user := masterKey{Encrypt: derived[:32]}
	user.MAC.K, user.MAC.R = derived[32:48], derived[48:]
	master, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	data, err := user.seal(master)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Created  time.Time `json:"created"`
		Username string    `json:"username"`
		Hostname string    `json:"hostname"`
		keyFile
	}{now.UTC(), "root", "salvor", keyFile{"scrypt", quickN, quickR, quickP, salt, data}})
}

func (k masterKey) seal(plain []byte) ([]byte, error) {
	if !k.valid() {
		return nil, errors.New("no key to seal with")
	}
	sealed := make([]byte, ivSize, ivSize+len(plain)+macSize)
	if _, err := rand.Read(sealed); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k.Encrypt)
	if err != nil {
		return nil, err
	}
	oneTime, err := k.oneTime(sealed)
	if err != nil {
		return nil, err
	}
	text := make([]byte, len(plain))
	cipher.NewCTR(block, sealed).XORKeyStream(text, plain)
	var mac [16]byte
	poly1305.Sum(&mac, text, &oneTime)
	return append(append(sealed, text...), mac[:]...), nil
}
