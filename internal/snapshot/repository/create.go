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
	"os"
	"time"

	"github.com/restic/chunker"
	"golang.org/x/crypto/poly1305" //nolint:staticcheck // the format's MAC; there is no other implementation
	"golang.org/x/crypto/scrypt"

	"salvor/internal/blob"
	"salvor/internal/secret"
)

// A cost is what deriving a key from a password takes: scrypt's parameters.
type cost struct{ n, r, p int }

// costOf returns what a password needs. Stretching slows down guessing, and takes
// half a second of CPU each time restic starts; 32 random bytes, in whatever
// encoding, cannot be guessed at any speed.
func costOf(password secret.Value) cost {
	const generated = 43 // characters of 32 bytes in base64
	if len(password.Reveal()) < generated {
		return cost{1 << 15, 8, 8}
	}
	return cost{1 << 10, 8, 1}
}

// config is the file that says what the repository is, as restic's design
// document has it under "Repository Format".
type config struct {
	Version    int         `json:"version"`
	ID         string      `json:"id"`
	Polynomial chunker.Pol `json:"chunker_polynomial"`
}

// Create makes an empty repository of format 2 that every restic reads. `restic
// init` does the same, after it has measured for three seconds of CPU how slow the
// derivation of the key can be made.
//
// Nothing else may write meanwhile. One that was interrupted may be made again: keys
// without a configuration open nothing, and are replaced. Where there is one already,
// the error is os.ErrExist.
func Create(ctx context.Context, store blob.Store, password secret.Value) error {
	return CreateLike(ctx, store, password, Cutting{})
}

// CreateLike is Create for a repository that cuts files where another one does, so that what
// is copied between them is the same as what is taken there.
func CreateLike(ctx context.Context, store blob.Store, password secret.Value, c Cutting) error {
	there, err := Exists(ctx, store)
	if err != nil {
		return fmt.Errorf("create snapshot repository: %w", err)
	}
	if there {
		return fmt.Errorf("create snapshot repository: one exists: %w", os.ErrExist)
	}
	if err := create(ctx, store, password, c); err != nil {
		return fmt.Errorf("create snapshot repository: %w", err)
	}
	return nil
}

// A Cutting says where files are cut into pieces: restic's chunker parameters. The zero one
// is none in particular.
type Cutting struct{ polynomial chunker.Pol }

// Cutting returns that of the repository whose two files these are copies of.
func (s Spare) Cutting(password secret.Value) (Cutting, error) {
	master, err := unlock(s.Key, password)
	if err != nil {
		return Cutting{}, err
	}
	plain, err := master.open(s.Config)
	if err != nil {
		return Cutting{}, err
	}
	var c config
	if err := json.Unmarshal(plain, &c); err != nil {
		return Cutting{}, err
	}
	if !c.Polynomial.Irreducible() {
		return Cutting{}, errors.New("the repository's configuration has no usable chunker polynomial")
	}
	return Cutting{c.Polynomial}, nil
}

func create(ctx context.Context, store blob.Store, password secret.Value, c Cutting) error {
	master, err := firstKey(ctx, store, password)
	if err != nil {
		return err
	}
	sealed, err := master.configure(c)
	if err != nil {
		return err
	}
	_, err = store.Put(ctx, configName, bytes.NewReader(sealed), int64(len(sealed)))
	return err
}

// firstKey returns the key that an earlier try has left, or writes one.
func firstKey(ctx context.Context, store blob.Store, password secret.Value) (masterKey, error) {
	unfinished, err := store.List(ctx, "keys")
	if err != nil {
		return masterKey{}, err
	}
	for _, k := range unfinished {
		content, err := read(ctx, store, "keys/"+k.Path, 0, -1)
		if err == nil && ValidName(k.Path) && intact(k.Path, content) == nil {
			if master, err := unlock(content, password); err == nil {
				return master, nil
			}
		}
		if err := store.Delete(ctx, "keys/"+k.Path); err != nil && !errors.Is(err, blob.ErrAppendOnly) {
			return masterKey{}, err
		}
	}
	master, err := newMasterKey()
	if err != nil {
		return master, err
	}
	key, err := master.keyFile(password, costOf(password), time.Now())
	if err != nil {
		return master, err
	}
	sum := sha256.Sum256(key)
	_, err = store.Put(ctx, "keys/"+hex.EncodeToString(sum[:]), bytes.NewReader(key), int64(len(key)))
	return master, err
}

// configure returns a new configuration, sealed with the key.
func (k masterKey) configure(c Cutting) (sealed []byte, err error) {
	if c.polynomial == 0 {
		if c.polynomial, err = chunker.RandomPolynomial(); err != nil {
			return nil, err
		}
	}
	id := make([]byte, 32)
	if _, err := rand.Read(id); err != nil {
		return nil, err
	}
	plain, err := json.Marshal(config{Version: 2, ID: hex.EncodeToString(id), Polynomial: c.polynomial})
	if err != nil {
		return nil, err
	}
	return k.seal(plain)
}

// newMasterKey returns a random one. r is clamped, as Poly1305 says: some of its
// bits are zero.
func newMasterKey() (masterKey, error) {
	random := make([]byte, 64)
	if _, err := rand.Read(random); err != nil {
		return masterKey{}, err
	}
	k := masterKey{Encrypt: random[:32]}
	k.MAC.K, k.MAC.R = random[32:48], random[48:]
	for i := range k.MAC.R {
		switch i % 4 {
		case 3:
			k.MAC.R[i] &= 0x0f
		case 0:
			if i > 0 {
				k.MAC.R[i] &= 0xfc
			}
		}
	}
	return k, nil
}

// keyFile seals the master key with one derived from password.
func (k masterKey) keyFile(password secret.Value, c cost, now time.Time) ([]byte, error) {
	salt := make([]byte, 64)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	derived, err := scrypt.Key(password.Reveal(), salt, c.n, c.r, c.p, 64)
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
	}{now.UTC(), "root", "salvor", keyFile{"scrypt", c.n, c.r, c.p, salt, data}})
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
