package repository

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/crypto/poly1305" //nolint:staticcheck // the format's MAC; there is no other implementation
	"golang.org/x/crypto/scrypt"

	"salvor/internal/secret"
)

// errMAC means: not encrypted with this key, or damaged.
var errMAC = errors.New("content is damaged or belongs to another key")

// masterKey is AES-256-CTR with Poly1305-AES, as restic's design document says
// under "Keys, Encryption and MAC".
type masterKey struct {
	MAC struct {
		K []byte `json:"k"`
		R []byte `json:"r"`
	} `json:"mac"`
	Encrypt []byte `json:"encrypt"`
}

const (
	ivSize  = 16
	macSize = 16
)

func (k masterKey) valid() bool {
	return len(k.MAC.K) == 16 && len(k.MAC.R) == 16 && len(k.Encrypt) == 32
}

func (k masterKey) open(sealed []byte) ([]byte, error) {
	if len(sealed) < ivSize+macSize || !k.valid() {
		return nil, errMAC
	}
	iv, text := sealed[:ivSize], sealed[ivSize:len(sealed)-macSize]
	oneTime, err := k.oneTime(iv)
	if err != nil {
		return nil, err
	}
	var mac [16]byte
	copy(mac[:], sealed[len(sealed)-macSize:])
	if !poly1305.Verify(&mac, text, &oneTime) {
		return nil, errMAC
	}
	block, err := aes.NewCipher(k.Encrypt)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(text))
	cipher.NewCTR(block, iv).XORKeyStream(plain, text)
	return plain, nil
}

// oneTime is the Poly1305 key for one nonce: r, then AES of the nonce.
func (k masterKey) oneTime(nonce []byte) (key [32]byte, err error) {
	block, err := aes.NewCipher(k.MAC.K)
	if err != nil {
		return key, err
	}
	copy(key[:16], k.MAC.R)
	block.Encrypt(key[16:], nonce)
	return key, nil
}

// keyFile is keys/<id>: the master key, sealed with one derived from a password.
type keyFile struct {
	KDF  string `json:"kdf"`
	N    int    `json:"N"`
	R    int    `json:"r"`
	P    int    `json:"p"`
	Salt []byte `json:"salt"`
	Data []byte `json:"data"`
}

// maxScrypt bounds the memory (128·N·r bytes) that a key file may ask for.
const maxScrypt = 1 << 30

func parseKeyFile(content []byte) (keyFile, error) {
	var f keyFile
	if err := json.Unmarshal(content, &f); err != nil {
		return f, fmt.Errorf("read key file: %w", err)
	}
	if f.KDF != "scrypt" || f.N < 2 || f.R < 1 || f.P < 1 || f.P > 64 || f.R > 1024 || f.N > maxScrypt/128/f.R {
		return f, fmt.Errorf("key file asks for %q with N=%d r=%d p=%d", f.KDF, f.N, f.R, f.P)
	}
	return f, nil
}

func (f keyFile) unlock(password secret.Value) (masterKey, error) {
	derived, err := scrypt.Key(password.Reveal(), f.Salt, f.N, f.R, f.P, 64)
	if err != nil {
		return masterKey{}, err
	}
	user := masterKey{Encrypt: derived[:32]}
	user.MAC.K, user.MAC.R = derived[32:48], derived[48:]
	plain, err := user.open(f.Data)
	if err != nil {
		return masterKey{}, err
	}
	var master masterKey
	if err := json.Unmarshal(plain, &master); err != nil || !master.valid() {
		return masterKey{}, errMAC
	}
	return master, nil
}
