package sops

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	lib "github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"

	"salvor/internal/fault"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

// ErrPlain is wrapped by the error of a file that is not encrypted.
var ErrPlain = errors.New("not encrypted with SOPS")

// A File is an encrypted SOPS file, parsed. It has no plaintext: each method that
// needs it decrypts again. Methods may be called concurrently.
type File struct {
	path   string
	format Format
	data   []byte
	meta   lib.Metadata
}

// Parse reads an encrypted file without any key. path gives the format and is
// named in errors. No error repeats content, which may be a plain secret.
func Parse(path string, data []byte) (*File, error) {
	f := &File{path: path, format: FormatOf(path), data: data}
	tree, err := f.load()
	if err != nil {
		return nil, err
	}
	f.meta = tree.Metadata
	return f, nil
}

func (f *File) load() (lib.Tree, error) {
	tree, err := f.format.codec().LoadEncryptedFile(f.data)
	if errors.Is(err, lib.MetadataNotFound) {
		return tree, fault.WithHint(fmt.Errorf("%s: %w", f.path, ErrPlain), secret.RestoreHint(f.path))
	}
	if err != nil {
		return tree, fault.WithHint(fmt.Errorf("%s: not a valid SOPS file (%s): truncated, or not encrypted: %w", f.path, f.format, ErrPlain), secret.RestoreHint(f.path))
	}
	return tree, nil
}

// Recipients returns the age recipients, sorted.
func (f *File) Recipients() []string {
	var out []string
	for _, g := range f.meta.KeyGroups {
		for _, k := range g {
			if a, ok := k.(*sopsage.MasterKey); ok {
				out = append(out, a.Recipient)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// OtherKeys returns the master keys that are not age ("pgp FBC7…"), in order.
func (f *File) OtherKeys() []string {
	var out []string
	for _, g := range f.meta.KeyGroups {
		for _, k := range g {
			if _, isAge := k.(*sopsage.MasterKey); !isAge {
				out = append(out, k.TypeToIdentifier()+" "+k.ToString())
			}
		}
	}
	return out
}

// Modified returns when the values last changed, as the file says.
func (f *File) Modified() time.Time { return f.meta.LastModified }

// Plain decrypts the whole file into its format. A ring without a fitting key
// wraps secret.ErrLocked; a file changed without the key is an error.
func (f *File) Plain(ring agekey.Keyring) (secret.Value, error) {
	o, err := f.open(ring)
	if err != nil {
		return secret.Value{}, err
	}
	out, err := f.format.codec().EmitPlainFile(o.tree.Branches)
	if err != nil {
		return secret.Value{}, fmt.Errorf("%s: its content can't be written as %s", f.path, f.format)
	}
	return secret.New(out), nil
}

// opened is a decrypted tree. The cipher remembers each value's nonce, so that
// encrypting again leaves the lines of unchanged values as they are.
type opened struct {
	tree    lib.Tree
	dataKey []byte
	cipher  aes.Cipher
}

func (f *File) open(ring agekey.Keyring) (*opened, error) {
	tree, err := f.load()
	if err != nil {
		return nil, err
	}
	if ring != nil {
		// Asked for once, here: a wrong passphrase must not be asked for again
		// with every master key.
		if _, err := ring.Identities(); err != nil {
			return nil, fmt.Errorf("%s: %w", f.path, err)
		}
	}
	o := &opened{tree: tree, cipher: aes.NewCipher()}
	o.dataKey, err = tree.Metadata.GetDataKeyWithKeyServices(services(ring), []string{"age"})
	if err != nil {
		return nil, fmt.Errorf("%s: encrypted to other keys, not this one, or its key is damaged: %w", f.path, secret.ErrLocked)
	}
	if err := o.decrypt(); err != nil {
		return nil, fault.WithHint(fmt.Errorf("%s: %w", f.path, err), secret.RestoreHint(f.path))
	}
	return o, nil
}

var errTampered = errors.New("changed without the key, or damaged: its authentication code does not match")

func (o *opened) decrypt() error {
	mac, err := o.tree.Decrypt(o.dataKey, o.cipher)
	if err != nil {
		return errTampered
	}
	meta := o.tree.Metadata
	want, err := o.cipher.Decrypt(meta.MessageAuthenticationCode, o.dataKey, meta.LastModified.Format(time.RFC3339))
	text, isText := want.(string)
	if err != nil || !isText || subtle.ConstantTimeCompare([]byte(text), []byte(mac)) != 1 {
		return errTampered
	}
	return nil
}
