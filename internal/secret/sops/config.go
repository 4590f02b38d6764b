package sops

import (
	"bytes"
	"fmt"
	"strings"

	"salvor/internal/secret/agekey"
)

// ConfigPath is where the sops program looks for its rules.
const ConfigPath = ".sops.yaml"

// Config returns the content of .sops.yaml that makes the sops program encrypt
// every file under secrets/ to the same age recipients as Salvor does.
func Config(recipients []string) ([]byte, error) {
	for _, r := range recipients {
		if _, err := agekey.ParseRecipient(r); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	fmt.Fprintln(&b, "# Written by salvor: the recipients of fleet.yaml. `sops secrets/NAME` edits what `salvor secret set` writes.")
	fmt.Fprintln(&b, "creation_rules:")
	fmt.Fprintln(&b, "  - path_regex: ^secrets/")
	fmt.Fprintf(&b, "    age: %s\n", strings.Join(recipients, ","))
	return b.Bytes(), nil
}
