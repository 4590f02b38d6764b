package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

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

// needsIdle reports services that need one which does not start, since its profile is not
// active: Compose refuses such a project.
func (s started) needsIdle() {
	for _, name := range s.load.project.ServiceNames() {
		if !s.load.active[name] {
			continue
		}
		service := s.load.project.Services[name]
		for _, needed := range slices.Sorted(maps.Keys(service.DependsOn)) {
			if service.DependsOn[needed].Required {
				s.idle(needed, name, "depends_on")
			}
		}
		for key, mode := range map[string]string{"network_mode": service.NetworkMode, "ipc": service.Ipc, "pid": service.Pid} {
			if needed, of := strings.CutPrefix(mode, types.ServicePrefix); of {
				s.idle(needed, name, key)
			}
		}
	}
}

func (s started) idle(needed, by, key string) {
	other, known := s.load.project.Services[needed]
	if !known || s.load.active[needed] {
		return
	}
	fix := fmt.Sprintf("write COMPOSE_PROFILES=%s into %s/stack.env", strings.Join(other.Profiles, ","), s.load.Stack.Dir)
	if key == "depends_on" {
		fix += fmt.Sprintf(", or depends_on: {%s: {condition: service_started, required: false}}", needed)
	}
	s.load.found(finding.Finding{Code: finding.StackBroken, Severity: finding.Fatal, Subject: s.load.files.of("services", by, key),
		Text: fmt.Sprintf("%s needs %s, which does not start: its profile is not active", by, needed), Fix: fix})
}

func (s started) allProfiles() []string {
	var all []string
	for _, service := range s.load.project.Services {
		all = append(all, service.Profiles...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
