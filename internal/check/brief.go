package check

import (
	"fmt"
	"strings"

	"salvor/internal/finding"
)

// Brief returns findings as a person reads them who has not asked for all: the secrets that
// Docker shows are one finding for each Compose file, where there are several.
func Brief(found []finding.Finding) []finding.Finding {
	in := map[string]int{}
	for _, f := range found {
		if f.Code == finding.SecretExposed {
			in[file(f)]++
		}
	}
	var brief []finding.Finding
	for _, f := range found {
		switch n := in[file(f)]; {
		case f.Code != finding.SecretExposed || n == 1:
			brief = append(brief, f)
		case n > 1:
			in[file(f)] = 0 // said
			f.Subject, f.Text = file(f), fmt.Sprintf("containers have secrets in their environment or definition, in %d places; docker inspect shows them, and Docker keeps them on disk", n)
			f.Fix = "salvor check --all shows each place; docs/secrets.md shows how a service reads a secret from a file"
			brief = append(brief, f)
		}
	}
	return brief
}

// file is the one that a finding is about.
func file(f finding.Finding) string {
	name, _, _ := strings.Cut(f.Subject, ":")
	return name
}
