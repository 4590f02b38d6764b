package compose

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/finding"
)

// exposed reports the secrets of a service that Docker itself will keep and
// show: those interpolated into its environment, and into anything else.
func (v variables) exposed(s types.ServiceConfig) error {
	for _, variable := range slices.Sorted(maps.Keys(s.Environment)) {
		if value := s.Environment[variable]; value != nil && marked(*value) {
			v.expose(v.load.files.of("services", s.Name, "environment", variable), s.Name, fmt.Sprintf("%s in the environment contains %s", variable, keysOf(*value)),
				fmt.Sprintf("if the image knows %s_FILE: list the secret under secrets: and set %s_FILE: /run/secrets/NAME", variable, variable))
		}
	}
	s.Environment = nil
	rest, err := json.Marshal(s)
	if err != nil || !marked(string(rest)) {
		return err
	}
	v.expose(v.load.files.of("services", s.Name), s.Name, "its definition contains "+keysOf(string(rest)), "list the secret "+
		"under secrets: and make the program read /run/secrets/NAME")
	return nil
}

func (v variables) expose(place, service, text, fix string) {
	v.load.found(finding.Finding{Code: finding.SecretExposed, Severity: finding.Info, Subject: place,
		Text: fmt.Sprintf("%s: %s; docker inspect shows it, and Docker keeps it on disk, in /var/lib/docker/containers and /var/lib/containerd", service, text), Fix: fix})
}

// keysOf names the secrets whose values are in s.
func keysOf(s string) string {
	keys := marks(s)
	slices.Sort(keys)
	return strings.Join(slices.Compact(keys), ", ")
}
