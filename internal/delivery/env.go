package delivery

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/secret"
)

// encodeEnv writes the named variables as an env file that Compose reads back as they
// are.
func encodeEnv(stack string, names []string, values map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	for _, name := range names {
		value, ok := values[name]
		if !ok {
			return nil, fmt.Errorf("stack %s: variable %s is not in the sealed file: %w", stack, name, secret.ErrNotFound)
		}
		if !fleet.IsVariable(name) {
			return nil, fmt.Errorf("stack %s: %q is not a variable name", stack, name)
		}
		if !utf8.Valid(value) || bytes.IndexByte(value, 0) >= 0 {
			return nil, fmt.Errorf("stack %s: variable %s is not text", stack, name)
		}
		fmt.Fprintf(&b, "%s=%s\n", name, project.QuoteEnv(string(value)))
	}
	return b.Bytes(), nil
}
