package ssh

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"

	"salvor/internal/secret"
	"salvor/internal/sign"
)

// A KeptKey is a private key that is encrypted somewhere and opened only for a
// host that takes it.
type KeptKey struct {
	Public PublicKey
	Open   func(context.Context) (secret.Value, error) // private keys without a passphrase, as OpenSSH writes them, this one among them
}

// NewKey makes an Ed25519 key: the private part as OpenSSH writes it, without a
// passphrase, and the line for authorized_keys with the comment.
func NewKey(comment string) (private secret.Value, line string, err error) {
	if private, err = sign.NewKey(comment); err != nil {
		return secret.Value{}, "", err
	}
	key, err := sign.ParseKey(private)
	if err != nil {
		return secret.Value{}, "", err
	}
	return private, string(key.Public()) + " " + comment, nil
}

func (k PublicKey) parse() (ssh.PublicKey, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(k))
	if err != nil {
		return nil, fmt.Errorf("public key %.40q: %w", string(k), err)
	}
	return key, nil
}

// keptSigner opens its key when a host has said that it takes it.
type keptSigner struct {
	line   PublicKey
	public ssh.PublicKey // line, read
	open   func() (secret.Value, error)
}

// PublicKey implements ssh.Signer.
func (k *keptSigner) PublicKey() ssh.PublicKey { return k.public }

// Sign implements ssh.Signer.
func (k *keptSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	private, err := k.open()
	if err != nil {
		return nil, err
	}
	for rest := private.Reveal(); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("no private key without a passphrase fits %s", ssh.FingerprintSHA256(k.public))
		}
		signer, err := ssh.ParsePrivateKey(pem.EncodeToMemory(block)) // its error may quote the key
		if err == nil && bytes.Equal(signer.PublicKey().Marshal(), k.public.Marshal()) {
			return signer.Sign(rand, data)
		}
	}
}
