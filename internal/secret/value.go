// Package secret is the vocabulary of secrets: values that cannot be printed by
// accident and references that name a secret without holding it.
package secret

import (
	"fmt"
	"log/slog"
)

const redacted = "[secret]"

// Value holds secret bytes. No formatting verb, logger or encoder prints them,
// also when the Value sits in an unexported field of another struct: fmt does
// not call methods on unexported fields, so the bytes are kept behind a func,
// which fmt can only print as an address. The zero Value is an empty secret.
type Value struct{ reveal func() []byte }

// New returns a Value holding a copy of b.
func New(b []byte) Value {
	kept := append([]byte(nil), b...)
	return Value{reveal: func() []byte { return kept }}
}

// NewString returns a Value holding s.
func NewString(s string) Value { return New([]byte(s)) }

// Reveal returns the secret bytes. Callers hand them to a file descriptor or to
// a library and keep no copy. The caller must not modify them.
func (v Value) Reveal() []byte {
	if v.reveal == nil {
		return nil
	}
	return v.reveal()
}

// IsZero reports whether the value is empty.
func (v Value) IsZero() bool { return len(v.Reveal()) == 0 }

// String returns a fixed placeholder.
func (Value) String() string { return redacted }

// GoString returns a fixed placeholder.
func (Value) GoString() string { return redacted }

// Format prints a fixed placeholder for every verb.
func (Value) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue returns a fixed placeholder.
func (Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns a fixed placeholder, so that JSON, YAML and XML encoders
// write it instead of the secret.
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// A Variable is a name with a secret value.
type Variable struct {
	Name  string
	Value Value
}
