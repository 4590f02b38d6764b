// Package seal makes and opens the files that carry secrets to where they are needed:
// sealed/<host>/<stack>.age, which one host can open, and sealed/recovery/<stack>.age,
// which operators and the recovery key can. All are plain age files with a signature of
// the fleet's key next to them; docs/adr/0003-sealing.md says how it is known without a
// key that one is still current.
package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

// ErrMismatch is wrapped by errors that mean: the file was opened, but it is
// for another host, stack or epoch, or of a newer schema.
var ErrMismatch = errors.New("sealed for something else")

// A Placement is what a sealed file is for.
type Placement struct {
	Host  string
	Stack string
	Epoch int
}

// Path returns the sealed file's place in the repository.
func (p Placement) Path() string { return fleet.SealedFile(p.Host, p.Stack) }

// Seal returns the file encrypted to the inputs' recipients (the host's alone),
// with the inputs' digest in its header, and signed by the fleet's key. Schema, host,
// stack, epoch and digest of the content are set from the inputs.
func Seal(file agentapi.SealedFile, in Inputs, key sign.Key) (Signed, error) {
	file.Schema = agentapi.Schema
	for _, r := range in.Recipients {
		if _, err := age.ParseX25519Recipient(r); err != nil {
			return Signed{}, fmt.Errorf("%s: a host's recipient is an X25519 one, age1…", in.Placement.Path())
		}
	}
	file.Host, file.Stack, file.Epoch, file.Inputs = in.Placement.Host, in.Placement.Stack, in.Placement.Epoch, in.Digest()
	plain, err := json.Marshal(file)
	if err != nil {
		return Signed{}, fmt.Errorf("encode sealed file: %w", err)
	}
	sealed, err := encrypt(secret.New(plain), in)
	if err != nil {
		return Signed{}, fmt.Errorf("%s: %w", in.Placement.Path(), err)
	}
	return signFile(sealed, in.Placement.Path(), file.Inputs, key)
}

func encrypt(plain secret.Value, in Inputs) ([]byte, error) {
	if len(in.Recipients) == 0 {
		return nil, errors.New("no recipient to encrypt to")
	}
	recipients := []age.Recipient{}
	for _, r := range in.Recipients {
		parsed, err := agekey.ParseRecipient(r)
		if err != nil {
			return nil, err
		}
		recipients = append(recipients, parsed)
	}
	return agekey.EncryptTo(plain, append(recipients, record(in.Digest()))...)
}

// Open opens a sealed file on its host, once it was seen that one of the fleet's keys
// has signed it, and checks that it is for what the caller expects: the placement, and
// the inputs' digest unless that is "". A file that the fleet has not signed wraps
// sign.ErrUntrusted, a wrong identity secret.ErrLocked, another placement or digest
// ErrMismatch; a damaged file is another error. No error shows content.
func (s Signed) Open(trusted sign.Keys, host agekey.Keyring, want Placement, inputs string) (agentapi.SealedFile, error) {
	signed, err := s.check(want.Path(), trusted)
	if err != nil {
		return agentapi.SealedFile{}, err
	}
	plain, err := agekey.Decrypt(want.Path(), s.File, host)
	if err != nil {
		return agentapi.SealedFile{}, err
	}
	file, err := decode(plain.Reveal())
	if err != nil {
		return agentapi.SealedFile{}, fmt.Errorf("%s: %w", want.Path(), err)
	}
	if got := placementOf(file); got != want {
		return agentapi.SealedFile{}, fmt.Errorf("%s: it is for stack %q on host %q at epoch %d, want epoch %d: %w",
			want.Path(), got.Stack, got.Host, got.Epoch, want.Epoch, ErrMismatch)
	}
	if file.Inputs != signed || inputs != "" && file.Inputs != inputs {
		return agentapi.SealedFile{}, fmt.Errorf("%s: it was made from other secrets or settings than those of this commit: %w", want.Path(), ErrMismatch)
	}
	return file, nil
}

func decode(plain []byte) (agentapi.SealedFile, error) {
	var head struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(plain, &head); err != nil {
		return agentapi.SealedFile{}, errors.New("its content is not a sealed file")
	}
	if head.Schema > agentapi.Schema || head.Schema < 1 {
		return agentapi.SealedFile{}, fmt.Errorf("schema is %d, this salvord reads up to %d: %w", head.Schema, agentapi.Schema, ErrMismatch)
	}
	var file agentapi.SealedFile
	dec := json.NewDecoder(bytes.NewReader(plain))
	dec.DisallowUnknownFields()
	// The decoder's text may quote a value.
	if err := dec.Decode(&file); err != nil {
		return agentapi.SealedFile{}, errors.New("its content is not a sealed file")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return agentapi.SealedFile{}, errors.New("there is extra data after its content")
	}
	return file, nil
}

func placementOf(f agentapi.SealedFile) Placement {
	return Placement{Host: f.Host, Stack: f.Stack, Epoch: f.Epoch}
}
