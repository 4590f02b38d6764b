package sops

import (
	"context"
	"errors"
	"io"
	"sync"

	lib "github.com/getsops/sops/v3"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/logging"
	"google.golang.org/grpc"

	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

// quiet silences the library, which logs to stderr and whose warnings quote
// comments of the files.
var quiet = sync.OnceFunc(func() {
	for _, l := range logging.Loggers {
		l.SetOutput(io.Discard)
	}
})

// services returns the key services for a file: age by our own keyring, every
// other kind of master key (PGP, cloud KMS, Vault) as the SOPS library does it.
func services(ring agekey.Keyring) []keyservice.KeyServiceClient {
	return []keyservice.KeyServiceClient{ageService{ring: ring, others: keyservice.NewLocalClient()}}
}

// ageService wraps and unwraps data keys in this process.
type ageService struct {
	ring   agekey.Keyring
	others keyservice.KeyServiceClient
}

// Encrypt wraps a data key for one master key.
func (s ageService) Encrypt(ctx context.Context, req *keyservice.EncryptRequest, opts ...grpc.CallOption) (*keyservice.EncryptResponse, error) {
	k := req.GetKey().GetAgeKey()
	if k == nil {
		return s.others.Encrypt(ctx, req, opts...)
	}
	wrapped, err := agekey.Encrypt(secret.New(req.GetPlaintext()), k.GetRecipient())
	if err != nil {
		return nil, err
	}
	return &keyservice.EncryptResponse{Ciphertext: wrapped}, nil
}

// Decrypt unwraps a data key.
func (s ageService) Decrypt(ctx context.Context, req *keyservice.DecryptRequest, opts ...grpc.CallOption) (*keyservice.DecryptResponse, error) {
	if req.GetKey().GetAgeKey() == nil {
		return s.others.Decrypt(ctx, req, opts...)
	}
	if s.ring == nil {
		return nil, errors.New("no age identity")
	}
	key, err := agekey.Decrypt("data key", req.GetCiphertext(), s.ring)
	if err != nil {
		return nil, err
	}
	return &keyservice.DecryptResponse{Plaintext: key.Reveal()}, nil
}

// group returns the recipients as a SOPS key group, followed by the master keys
// of other kinds that were there before.
func group(recipients []string, before lib.KeyGroup) (lib.KeyGroup, error) {
	if len(recipients) == 0 {
		return nil, errors.New("no recipient to encrypt to")
	}
	var keys lib.KeyGroup
	for _, r := range recipients {
		if _, err := agekey.ParseRecipient(r); err != nil {
			return nil, err
		}
		keys = append(keys, &sopsage.MasterKey{Recipient: r})
	}
	for _, k := range before {
		if _, isAge := k.(*sopsage.MasterKey); !isAge {
			keys = append(keys, k)
		}
	}
	return keys, nil
}
