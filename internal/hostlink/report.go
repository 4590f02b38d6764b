package hostlink

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
)

// engineName is what an engine allows as the name of a container, network or runtime.
var engineName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.:/-]{0,127}$`)

// report keeps of a host's report what can be so: its names are printed, and may stand in
// a command.
func (a *answer) report(r *agentapi.Report) {
	r.CPUs, r.Memory, r.Free = max(0, r.CPUs), max(0, r.Memory), max(0, r.Free)
	r.Kernel = a.printed("the kernel's version", r.Kernel)
	for i := range r.Listeners {
		r.Listeners[i].Program = a.printed("a program", r.Listeners[i].Program)
	}
	r.First = slices.DeleteFunc(r.First, func(f agentapi.FirstUpload) bool {
		odd := fleet.ValidKept(f.Stack) != nil || fleet.ValidName(f.Target) != nil || f.Bytes < 0 || f.Speed < 0
		if odd {
			a.refuse("a first upload of %s to %s", f.Stack, f.Target)
		}
		return odd
	})
	if r.Engine == nil {
		return
	}
	r.Engine.Version = a.printed("the engine's version", r.Engine.Version)
	r.Engine.Containers = slices.DeleteFunc(r.Engine.Containers, func(c agentapi.HostContainer) bool {
		odd := !engineName.MatchString(c.Name) || c.Project != "" && !engineName.MatchString(c.Project)
		if odd {
			a.refuse("container %s of project %s", c.Name, c.Project)
		}
		return odd
	})
}

// printed returns a short text of a host, "" for one that does not fit into a line.
func (a *answer) printed(what, text string) string {
	if len(text) <= maxVersion && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	a.refuse("%s %.*s…", what, maxVersion, text)
	return ""
}
