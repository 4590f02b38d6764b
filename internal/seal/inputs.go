package seal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strings"

	"filippo.io/age"

	"salvor/internal/secret/agekey"
)

// stanzaType marks the inputs in an age header. age programs skip stanzas that
// they don't know (C2SP age specification, "recipient stanza").
const stanzaType = "salvor-inputs"

// Inputs are everything a sealed file is made from, in a form that needs no key:
// secrets by the encrypted files they are in.
type Inputs struct {
	Placement  Placement
	Recipients []string // of the sealed file, in any order
	// Parts are the rest by name: encrypted files by their path, and plain settings
	// (a remote's type, a secret's name). Never put a secret in plain text here: the
	// digest is public, and a weak secret could be guessed from it.
	Parts map[string][]byte
}

// Digest returns a digest over the inputs, "sha256:…". Equal inputs give equal
// digests, in any order.
func (in Inputs) Digest() string {
	h := sha256.New()
	add(h, "salvor seal 1", in.Placement.Host, in.Placement.Stack, fmt.Sprint(in.Placement.Epoch))
	recipients := slices.Sorted(slices.Values(in.Recipients))
	add(h, fmt.Sprint(len(recipients)))
	add(h, recipients...)
	names := make([]string, 0, len(in.Parts))
	for name := range in.Parts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		add(h, name, string(in.Parts[name]))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// add hashes each text behind its length, so that no two lists look the same.
func add(h hash.Hash, texts ...string) {
	for _, t := range texts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(t)))
		h.Write(size[:])
		h.Write([]byte(t))
	}
}

// recorded returns the digest in the file's header, which anyone can put there.
func recorded(sealed []byte) (string, bool) {
	header, err := age.ExtractHeader(agekey.Dearmored(sealed))
	if err != nil {
		return "", false
	}
	sc := bufio.NewScanner(bytes.NewReader(header))
	for sc.Scan() {
		if digest, ok := strings.CutPrefix(sc.Text(), "-> "+stanzaType+" "); ok {
			return digest, true
		}
	}
	return "", false
}

// record is an age recipient without a private key: it only puts the inputs' digest
// into the header, where age's own code guards it against change.
type record string

// Wrap returns the stanza with the digest.
func (r record) Wrap([]byte) ([]*age.Stanza, error) {
	return []*age.Stanza{{Type: stanzaType, Args: []string{string(r)}}}, nil
}
