package delivery

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"salvor/internal/secret"
)

// encodeEnv writes the named variables as a dotenv file that Compose reads back
// as they are: nothing in a value is interpolated or unescaped.
func encodeEnv(stack string, names []string, values map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	for _, name := range names {
		value, ok := values[name]
		if !ok {
			return nil, fmt.Errorf("stack %s: variable %s is not in the sealed file: %w", stack, name, secret.ErrNotFound)
		}
		if !isVariable(name) {
			return nil, fmt.Errorf("stack %s: %q is not a variable name", stack, name)
		}
		if !utf8.Valid(value) || bytes.IndexByte(value, 0) >= 0 {
			return nil, fmt.Errorf("stack %s: variable %s is not text", stack, name)
		}
		fmt.Fprintf(&b, "%s=%s\n", name, quote(string(value)))
	}
	return b.Bytes(), nil
}

// quote prefers single quotes, in which Compose changes nothing; they can hold
// neither themselves nor a backslash at every place.
func quote(value string) string {
	if !strings.ContainsAny(value, `'\`) {
		return "'" + value + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(value) + `"`
}

func isVariable(name string) bool {
	for i, r := range name {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}
