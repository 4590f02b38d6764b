package seal

import (
	"errors"
	"fmt"

	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

// Kind is what the fleet's key signs sealed files as.
const Kind sign.Kind = "salvor-seal"

// A Signed sealed file is an age file with the signature by the fleet's key that is
// next to it in Git. age says who can open a file; only the signature says who made
// it.
type Signed struct {
	File      []byte
	Signature []byte // armored, as ssh-keygen -Y verify reads it
}

// SignaturePath returns where the signature of a sealed file is in the repository.
func SignaturePath(file string) string { return file + ".sig" }

// Files returns the two files, by path.
func (s Signed) Files(file string) map[string][]byte {
	return map[string][]byte{file: s.File, SignaturePath(file): s.Signature}
}

// ErrStale is wrapped by errors that mean: a sealed file was made from other inputs.
var ErrStale = errors.New("its secrets, remotes or recipients changed")

// signFile signs an age file for its path and the inputs that it was made from. The
// digest stands for host, stack and epoch, too.
func signFile(file []byte, path, digest string, key sign.Key) (Signed, error) {
	signature, err := key.Sign(Kind, path+" "+digest, file)
	return Signed{file, signature}, err
}

// Check is an error that wraps sign.ErrUntrusted unless one of the fleet's keys has
// signed the file for its path.
func (s Signed) Check(path string, trusted sign.Keys) error {
	_, err := s.check(path, trusted)
	return err
}

// check is an error that wraps sign.ErrUntrusted unless one of the fleet's keys has
// signed the file for its path. It returns the digest of the inputs that it is signed
// for.
func (s Signed) check(path string, trusted sign.Keys) (digest string, err error) {
	digest, ok := recorded(s.File)
	switch {
	case !ok:
		return "", fmt.Errorf("%s is not a sealed file: %w", path, sign.ErrUntrusted)
	case len(s.Signature) == 0:
		return "", fmt.Errorf("%s has no signature in %s: %w", path, SignaturePath(path), sign.ErrUntrusted)
	}
	_, err = trusted.Verify(Kind, path+" "+digest, s.File, s.Signature)
	return digest, err
}

// Resign returns the file with the signature of another key, if one of the trusted
// keys has signed it for its path.
func (s Signed) Resign(path string, trusted sign.Keys, key sign.Key) (Signed, error) {
	place := path
	if path != agekey.RecoveryPath {
		digest, _ := recorded(s.File)
		place += " " + digest
	}
	if _, err := trusted.Verify(Kind, place, s.File, s.Signature); err != nil {
		return Signed{}, err
	}
	signature, err := key.Sign(Kind, place, s.File)
	return Signed{s.File, signature}, err
}

// Current returns nil for a sealed file that was made from exactly these inputs, by
// the fleet: else an error that wraps ErrStale or sign.ErrUntrusted. It needs no key
// that opens anything.
func (s Signed) Current(in Inputs, trusted sign.Keys) error {
	return s.current(in.Placement.Path(), in, trusted)
}

func (s Signed) current(path string, in Inputs, trusted sign.Keys) error {
	digest, err := s.check(path, trusted)
	if err == nil && digest != in.Digest() {
		err = fmt.Errorf("%s: %w", path, ErrStale)
	}
	return err
}
