package card

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"salvor/internal/fleet"
)

// ProvenPath is where the repository keeps when each key was last tried.
const ProvenPath = "proven.json"

// ProofLasts is how long a proof is valid: people move, paper fades.
const ProofLasts = 365 * 24 * time.Hour

// Proven says when each key, by its age recipient, last opened everything.
type Proven map[string]time.Time

type provenFile struct {
	Schema int                  `json:"schema"`
	Keys   map[string]time.Time `json:"keys"`
}

// DecodeProven reads proven.json; no content is not proof.
func DecodeProven(content []byte) (Proven, error) {
	if len(content) == 0 {
		return nil, nil
	}
	var f provenFile
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("%s: %w", ProvenPath, err)
	}
	switch {
	case f.Schema > fleet.Schema:
		return nil, fmt.Errorf("%s: schema %d: a newer salvor wrote this", ProvenPath, f.Schema)
	case f.Schema < 1:
		return nil, errors.New(ProvenPath + ": no schema")
	}
	return f.Keys, nil
}

// ReadProven reads proven.json with read, whose error for a file that is not there is
// fs.ErrNotExist: then nothing is proven.
func ReadProven(read func(path string) ([]byte, error)) (Proven, error) {
	content, err := read(ProvenPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return DecodeProven(content)
}

// Encode returns proven.json. The same proofs give the same bytes.
func (p Proven) Encode() ([]byte, error) {
	content, err := json.MarshalIndent(provenFile{fleet.Schema, p}, "", "  ")
	return append(content, '\n'), err
}
