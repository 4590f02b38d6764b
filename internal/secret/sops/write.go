package sops

import (
	"errors"
	"fmt"
	"slices"
	"time"

	lib "github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/version"

	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

// Encrypt returns plain as a new encrypted file in the format of path. It needs
// no key: recipients suffice.
func Encrypt(path string, plain secret.Value, recipients []string) ([]byte, error) {
	keys, err := group(recipients, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return encrypt(path, plain, lib.Metadata{
		KeyGroups:         []lib.KeyGroup{keys},
		UnencryptedSuffix: lib.DefaultUnencryptedSuffix,
		Version:           version.Version,
	})
}

// Replace returns the file with other content and a new data key, for the given
// age recipients and the master keys of other kinds that it has. Which values
// are encrypted stays as the file says.
func (f *File) Replace(plain secret.Value, recipients []string) ([]byte, error) {
	meta, err := f.metadataFor(recipients)
	if err != nil {
		return nil, err
	}
	return encrypt(f.path, plain, meta)
}

// Rekey returns the file encrypted again under a new data key, for the given age
// recipients and its master keys of other kinds. Anyone who was removed can still
// read old versions: rotate the value.
func (f *File) Rekey(ring agekey.Keyring, recipients []string) ([]byte, error) {
	meta, err := f.metadataFor(recipients)
	if err != nil {
		return nil, err
	}
	o, err := f.open(ring)
	if err != nil {
		return nil, err
	}
	o.tree.Metadata = meta
	return seal(f.path, o.tree, f.Modified())
}

// Fits reports whether the file is encrypted to exactly these age recipients, in
// addition to master keys of other kinds.
func (f *File) Fits(recipients []string) bool {
	want := slices.Sorted(slices.Values(recipients))
	return slices.Equal(f.Recipients(), slices.Compact(want))
}

func (f *File) metadataFor(recipients []string) (lib.Metadata, error) {
	tree, err := f.load() // a copy of the keys: wrapping changes them
	meta := tree.Metadata
	if err != nil {
		return meta, err
	}
	if len(meta.KeyGroups) != 1 {
		return meta, fmt.Errorf("%s: has %d key groups; change it with the sops program", f.path, len(meta.KeyGroups))
	}
	keys, err := group(recipients, meta.KeyGroups[0])
	if err != nil {
		return meta, fmt.Errorf("%s: %w", f.path, err)
	}
	meta.KeyGroups = []lib.KeyGroup{keys}
	return meta, nil
}

func encrypt(path string, plain secret.Value, meta lib.Metadata) ([]byte, error) {
	format := FormatOf(path)
	branches, err := format.codec().LoadPlainFile(plain.Reveal())
	if err != nil || len(branches) == 0 {
		// The library's text quotes the plaintext.
		return nil, fmt.Errorf("%s: the text to encrypt is not valid %s", path, format)
	}
	return seal(path, lib.Tree{Branches: branches, Metadata: meta, FilePath: path}, time.Now())
}

// seal encrypts a plain tree under a new data key. modified is when its values
// last changed.
func seal(path string, tree lib.Tree, modified time.Time) ([]byte, error) {
	dataKey, errs := tree.GenerateDataKeyWithKeyServices(services(nil))
	if len(errs) > 0 {
		return nil, fmt.Errorf("%s: wrap its data key: %w", path, errors.Join(errs...))
	}
	return emit(path, &opened{tree: tree, dataKey: dataKey, cipher: aes.NewCipher()}, modified)
}

func emit(path string, o *opened, modified time.Time) ([]byte, error) {
	mac, err := o.tree.Encrypt(o.dataKey, o.cipher)
	if err != nil {
		return nil, fmt.Errorf("%s: a value in it can't be encrypted", path)
	}
	meta := &o.tree.Metadata
	meta.LastModified = modified.UTC()
	meta.MessageAuthenticationCode, err = o.cipher.Encrypt(mac, o.dataKey, meta.LastModified.Format(time.RFC3339))
	if err != nil {
		return nil, fmt.Errorf("%s: encrypt its authentication code: %w", path, err)
	}
	out, err := FormatOf(path).codec().EmitEncryptedFile(o.tree)
	if err != nil {
		return nil, fmt.Errorf("%s: its content can't be written as %s", path, FormatOf(path))
	}
	return out, nil
}
