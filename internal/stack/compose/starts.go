package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/finding"
)

// started looks at the services of a stack that `up` starts.
type started struct{ load *load }

// nothing reports a project of which `up` would start no service: Compose refuses
// that on the host.
func (s started) nothing() {
	if slices.Contains(slices.Collect(maps.Values(s.load.active)), true) {
		return
	}
	f := finding.Finding{Code: finding.StackBroken, Severity: finding.Fatal, Subject: s.load.files.of("services"), Text: "the stack has no services", Fix: "write them under services:, or remove the folder"}
	if profiles := s.allProfiles(); len(profiles) > 0 {
		f.Text = "each service of the stack has a profile, so none starts"
		f.Fix = fmt.Sprintf("write COMPOSE_PROFILES=%s into %s/stack.env", strings.Join(profiles, ","), s.load.Stack.Dir)
	}
	s.load.found(f)
}

func (s started) allProfiles() []string {
	var all []string
	for _, service := range s.load.project.Services {
		all = append(all, service.Profiles...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
