package secretstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"salvor/internal/fleet"
)

// RemovalsPath is where the repository keeps which secrets are exposed: they still have a
// value that a removed person or host may know. It holds names and dates, nothing that comes from a
// value: from a digest a weak secret could be guessed.
const RemovalsPath = "revoked.json"

// A Removal is a person, host or key holder who must not know any secret from now on:
// exactly one of Operator, Host and Key is set.
type Removal struct {
	Operator string    `json:"operator,omitempty"` // who left
	Host     string    `json:"host,omitempty"`     // that is gone
	Key      string    `json:"key,omitempty"`      // operator whose old key others may have; "recovery" for the recovery key
	At       time.Time `json:"at"`
	Secrets  []string  `json:"secrets"` // by name, sorted: those that have had no other value since
}

// String says who it was, for a sentence that begins with "known to".
func (r Removal) String() string {
	on := r.At.UTC().Format(time.DateOnly)
	switch {
	case r.Host != "":
		return "the host " + r.Host + ", removed on " + on
	case r.Key != "":
		return "anyone who has the old key of " + r.Key + ", replaced on " + on
	}
	return r.Operator + ", removed on " + on
}

// Removals are all of them, in the order they came.
type Removals []Removal

type removalsFile struct {
	Schema   int      `json:"schema"`
	Removals Removals `json:"removals"`
}

// DecodeRemovals reads revoked.json; no content is not a removal.
func DecodeRemovals(content []byte) (Removals, error) {
	if len(content) == 0 {
		return nil, nil
	}
	var head struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(content, &head); err != nil {
		return nil, fmt.Errorf("%s: %w", RemovalsPath, err)
	}
	switch {
	case head.Schema > fleet.Schema:
		return nil, fmt.Errorf("%s: schema %d: a newer salvor wrote this", RemovalsPath, head.Schema)
	case head.Schema < 1:
		return nil, errors.New(RemovalsPath + ": no schema")
	}
	var f removalsFile
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("%s: %w", RemovalsPath, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New(RemovalsPath + ": there is extra data after its content")
	}
	for i, r := range f.Removals {
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("%s: removal %d: %w", RemovalsPath, i+1, err)
		}
	}
	return f.Removals, nil
}

func (r Removal) check() error {
	who := 0
	for _, name := range []string{r.Operator, r.Host, r.Key} {
		if name == "" {
			continue
		}
		who++
		if err := fleet.ValidName(name); err != nil {
			return err
		}
	}
	switch {
	case who != 1:
		return errors.New("want one of operator, host and key")
	case r.At.IsZero():
		return errors.New("no time")
	case len(r.Secrets) == 0 || slices.Contains(r.Secrets, ""):
		return errors.New("not a secret, or one without a name")
	}
	return nil
}

// Encode returns revoked.json, the same bytes for the same removals; nil, for no
// file, when there is none left.
func (all Removals) Encode() ([]byte, error) {
	if len(all) == 0 {
		return nil, nil
	}
	for _, r := range all {
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", RemovalsPath, err)
		}
	}
	content, err := json.MarshalIndent(removalsFile{fleet.Schema, all}, "", "  ")
	return append(content, '\n'), err
}

// With returns the removals and one more. One that exposes no secret is left out.
func (all Removals) With(r Removal) Removals {
	r.At = r.At.UTC().Truncate(time.Second)
	r.Secrets = slices.Compact(slices.Sorted(slices.Values(r.Secrets)))
	if len(r.Secrets) == 0 {
		return all
	}
	return append(slices.Clone(all), r)
}

// Without returns the removals after a secret got another value. It reports
// whether that changed them.
func (all Removals) Without(secret string) (left Removals, changed bool) {
	for _, r := range all {
		if i := slices.Index(r.Secrets, secret); i >= 0 {
			r.Secrets, changed = slices.Delete(slices.Clone(r.Secrets), i, i+1), true
		}
		if len(r.Secrets) > 0 {
			left = append(left, r)
		}
	}
	return left, changed
}

// Of returns the removals that a secret has not changed since.
func (all Removals) Of(secret string) Removals {
	return slices.DeleteFunc(slices.Clone(all), func(r Removal) bool { return !slices.Contains(r.Secrets, secret) })
}
