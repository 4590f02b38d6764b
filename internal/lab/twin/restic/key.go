package restic

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"golang.org/x/crypto/poly1305" //nolint:staticcheck // the format's MAC; there is no other implementation
	"golang.org/x/crypto/scrypt"

	"salvor/internal/blob"
	"salvor/internal/secret"
)

// A key is AES-256-CTR with Poly1305-AES, as restic's design document says under
// "Keys, Encryption and MAC".
type key struct {
	MAC struct {
		K []byte `json:"k"`
		R []byte `json:"r"`
	} `json:"mac"`
	Encrypt []byte `json:"encrypt"`
}

// A keyFile is keys/<id>: the repository's key, sealed with one derived from a password.
type keyFile struct {
	KDF  string `json:"kdf"`
	N    int    `json:"N"`
	R    int    `json:"r"`
	P    int    `json:"p"`
	Salt []byte `json:"salt"`
	Data []byte `json:"data"`
}

func derived(password []byte, f keyFile) (k key, err error) {
	raw, err := scrypt.Key(password, f.Salt, f.N, f.R, f.P, 64)
	if err != nil {
		return k, err
	}
	return keyOf(raw), nil
}

func keyOf(raw []byte) (k key) {
	k.Encrypt, k.MAC.K, k.MAC.R = raw[:32], raw[32:48], raw[48:]
	return k
}

// pad returns the block cipher's stream and the MAC's key for a nonce.
func (k key) pad(nonce []byte) (stream cipher.Stream, once [32]byte, err error) {
	text, err := aes.NewCipher(k.Encrypt)
	if err != nil {
		return nil, once, err
	}
	mac, err := aes.NewCipher(k.MAC.K)
	if err != nil {
		return nil, once, err
	}
	copy(once[:16], k.MAC.R)
	mac.Encrypt(once[16:], nonce)
	return cipher.NewCTR(text, nonce), once, nil
}

func (k key) seal(plain []byte) ([]byte, error) {
	nonce := make([]byte, 16, 32+len(plain))
	_, _ = rand.Read(nonce) // never fails: it ends the program instead
	stream, once, err := k.pad(nonce)
	if err != nil {
		return nil, err
	}
	text := make([]byte, len(plain))
	stream.XORKeyStream(text, plain)
	var mac [16]byte
	poly1305.Sum(&mac, text, &once)
	return append(append(nonce, text...), mac[:]...), nil
}

func (k key) open(sealed []byte) ([]byte, error) {
	if len(sealed) < 32 {
		return nil, errors.New("too short")
	}
	nonce, text, tag := sealed[:16], sealed[16:len(sealed)-16], sealed[len(sealed)-16:]
	stream, once, err := k.pad(nonce)
	if err != nil {
		return nil, err
	}
	if !poly1305.Verify((*[16]byte)(tag), text, &once) {
		return nil, errors.New("ciphertext verification failed")
	}
	plain := make([]byte, len(text))
	stream.XORKeyStream(plain, text)
	return plain, nil
}

// unlock finds the repository's key.
func unlock(ctx context.Context, store blob.Store, password []byte) (key, error) {
	files, err := store.List(ctx, "keys")
	if err != nil {
		return key{}, err
	}
	for _, o := range files {
		var f keyFile
		if err := readJSON(ctx, store, "keys/"+path.Base(o.Path), &f); err != nil {
			return key{}, err
		}
		user, err := derived(password, f)
		if err != nil {
			return key{}, err
		}
		var master key
		if plain, err := user.open(f.Data); err == nil && json.Unmarshal(plain, &master) == nil {
			return master, nil
		}
	}
	return key{}, fmt.Errorf("wrong password or no key found: %w", secret.ErrLocked)
}

func readJSON(ctx context.Context, store blob.Store, p string, into any) error {
	body, err := store.Get(ctx, p, 0, -1)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	return json.Unmarshal(content, into)
}

// Init makes an empty repository, as `restic init` does. Its key is derived from the
// password at no cost, which makes worlds cheap.
func Init(ctx context.Context, store blob.Store, password secret.Value) error {
	raw := make([]byte, 64+32)
	_, _ = rand.Read(raw) // never fails: it ends the program instead
	master, id := keyOf(raw[:64]), raw[64:]
	for i := range master.MAC.R { // some bits are zero, as Poly1305 says
		switch {
		case i%4 == 3:
			master.MAC.R[i] &= 0x0f
		case i%4 == 0 && i > 0:
			master.MAC.R[i] &= 0xfc
		}
	}
	f := keyFile{KDF: "scrypt", N: 2, R: 1, P: 1, Salt: id}
	user, err := derived(password.Reveal(), f)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(master)
	if err != nil {
		return err
	}
	if f.Data, err = user.seal(plain); err != nil {
		return err
	}
	made := struct {
		Created time.Time `json:"created"`
		keyFile
	}{time.Now(), f}
	content, err := json.Marshal(made)
	if err == nil {
		_, err = store.Put(ctx, "keys/"+digest(content), bytes.NewReader(content), int64(len(content)))
	}
	if err != nil {
		return err
	}
	config, err := master.seal(fmt.Appendf(nil, `{"version":2,"id":"%x","chunker_polynomial":"3da3358b4dc173"}`, id))
	if err == nil {
		_, err = store.Put(ctx, "config", bytes.NewReader(config), int64(len(config)))
	}
	return err
}
