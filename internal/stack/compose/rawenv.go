package compose

import (
	"bytes"
	"strings"

	"salvor/internal/project"
)

// fromRaw returns an env file of the format raw, as `docker run --env-file` has it, in the
// syntax of the others: its values are what stands there, without quotes or variables. A
// name without a value is the variable of that name, if there is one.
func fromRaw(content []byte, lookup Lookup) []byte {
	var all bytes.Buffer
	for line := range strings.Lines(string(bytes.TrimPrefix(content, []byte("\ufeff")))) {
		line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, set := strings.Cut(line, "=")
		if !set {
			if value, set = lookup(name); !set {
				continue
			}
		}
		all.WriteString(name + "=" + project.QuoteEnv(value) + "\n")
	}
	return all.Bytes()
}
