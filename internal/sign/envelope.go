package sign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// An envelope is a small document with its signature, as one JSON file. The content
// is there byte by byte, so that no encoder comes between it and what was signed.
type envelope struct {
	Schema    int    `json:"schema"`
	Content   string `json:"content"`
	Signature string `json:"signature"`
}

const envelopeSchema = 1

// Enclose returns content, which is UTF-8, with the key's signature over it and its
// place.
func (k Key) Enclose(kind Kind, place string, content []byte) ([]byte, error) {
	signature, err := k.Sign(kind, place, content)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(envelope{envelopeSchema, string(content), string(signature)}, "", "  ")
}

// Open returns the content of what Enclose returned, and by which key it is
// signed. Anything else is an error that wraps ErrUntrusted.
func (ks Keys) Open(kind Kind, place string, data []byte) ([]byte, Public, error) {
	e, err := parseEnvelope(data)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w: %w", place, err, ErrUntrusted)
	}
	by, err := ks.Verify(kind, place, []byte(e.Content), []byte(e.Signature))
	if err != nil {
		return nil, "", err
	}
	return []byte(e.Content), by, nil
}

func parseEnvelope(data []byte) (envelope, error) {
	var e envelope
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return envelope{}, errors.New("not a signed document")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return envelope{}, errors.New("there is extra data after the signed document")
	}
	if e.Schema != envelopeSchema {
		return envelope{}, fmt.Errorf("schema %d of signed documents is not known here", e.Schema)
	}
	return e, nil
}
