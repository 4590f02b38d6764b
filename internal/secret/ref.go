package secret

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"salvor/internal/fault"
)

// ErrLocked is wrapped by every error that means: the key to open a secret is
// missing or wrong. It maps to exit code 12.
var ErrLocked = fault.Kind("secret can't be unlocked", fault.SecretsShut)

// ErrNotFound is wrapped by the error of a reference that names no secret.
var ErrNotFound = errors.New("no such secret")

// ErrReadOnly is wrapped by the error of a store that only reads: the value is
// made, and changed, elsewhere.
var ErrReadOnly = errors.New("its value is made elsewhere and can't be set here")

// RestoreHint is the next step where a file of secrets was changed or cut off.
func RestoreHint(file string) string {
	return fmt.Sprintf("git log -- %s shows who changed it; git checkout COMMIT -- %s restores it", file, file)
}

const refPrefix = "secret:"

// Setting is one configuration value that is either literal text or a
// reference to a secret, written `secret:NAME`. References are resolved late,
// by a Resolver, and never stored resolved.
type Setting struct{ raw string }

// ParseSetting returns the setting written as s.
func ParseSetting(s string) Setting { return Setting{raw: s} }

// Secret returns the name of the secret referred to, and whether it is one.
func (s Setting) Secret() (name string, ok bool) { return strings.CutPrefix(s.raw, refPrefix) }

// String returns the setting as it is written in a file: text, or `secret:NAME`.
func (s Setting) String() string { return s.raw }

// IsZero reports whether nothing was written.
func (s Setting) IsZero() bool { return s.raw == "" }

// MarshalText writes the setting as it is in a file.
func (s Setting) MarshalText() ([]byte, error) { return []byte(s.raw), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Setting) UnmarshalText(b []byte) error { s.raw = string(b); return nil }

// Resolver opens secrets by name. An unknown name wraps ErrNotFound, a key that
// does not fit wraps ErrLocked.
type Resolver interface {
	Resolve(ctx context.Context, name string) (Value, error)
}

// Resolve returns the value of s: its text, or the secret that it names.
func (s Setting) Resolve(ctx context.Context, r Resolver) (Value, error) {
	name, ok := s.Secret()
	if !ok {
		return NewString(s.raw), nil
	}
	return r.Resolve(ctx, name)
}
