// Package signtest makes signing keys for tests.
package signtest

import "salvor/internal/sign"

// NewKey returns a key that no other call returns.
func NewKey() sign.Key {
	private, err := sign.NewKey("test")
	if err != nil {
		panic(err)
	}
	key, err := sign.ParseKey(private)
	if err != nil {
		panic(err)
	}
	return key
}
