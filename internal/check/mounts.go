package check

import (
	"fmt"
	"slices"
	"strings"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// A bind is a folder of a host that a stack has its data in.
type bind struct {
	host, stack string
	volume      project.Volume
}

// mountsNested returns a finding for each bind that is within one of another stack on
// its host: that one's containers can put a link in its place. Within one stack the
// project itself says so.
func (c commit) mountsNested() []finding.Finding {
	var all []bind
	for _, st := range c.repo.Fleet.Stacks {
		for _, v := range c.stacks[st.Name].Volumes {
			if st.Host != "" && strings.HasPrefix(v.Path, "/") && v.Protect != fleet.Config {
				all = append(all, bind{st.Host, st.Name, v})
			}
		}
	}
	slices.SortFunc(all, func(a, b bind) int { return strings.Compare(a.stack+a.volume.Path, b.stack+b.volume.Path) })
	var found []finding.Finding
	for _, inner := range all {
		for _, outer := range all {
			if outer.replaces(inner) {
				found = append(found, finding.Finding{
					Code: finding.MountNested, Severity: finding.Warning, Subject: inner.host + "/" + inner.stack,
					Text: fmt.Sprintf("%s is inside %s of stack %s, whose containers can replace it with a link to another folder of the host", inner.volume.Source, outer.volume.Source, outer.stack),
					Fix:  "move one of them out of the other",
				})
			}
		}
	}
	return found
}

// replaces reports whether who writes to a bind can put something in another's place.
// A host's own folders are left out: what can write there needs no such way.
func (b bind) replaces(inner bind) bool {
	return b.host == inner.host && b.stack != inner.stack && b.volume.Protect != fleet.HostPath &&
		strings.HasPrefix(inner.volume.Path, strings.TrimSuffix(b.volume.Path, "/")+"/")
}
