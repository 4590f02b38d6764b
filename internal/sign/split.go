package sign

import (
	"strings"

	"salvor/internal/secret"
)

const pemEnd = "-----END OPENSSH PRIVATE KEY-----"

// SplitKeys returns the private keys that a secret has one after the other.
func SplitKeys(private secret.Value) []secret.Value {
	var all []secret.Value
	rest := string(private.Reveal())
	for {
		one, after, found := strings.Cut(rest, pemEnd)
		if !found {
			return all
		}
		all = append(all, secret.NewString(one+pemEnd+"\n"))
		rest = after
	}
}
