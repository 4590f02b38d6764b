package compose

import (
	"fmt"

	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/finding"
	"salvor/internal/fleet"
)

// nested points out binds below a folder that a container may write to: it can put
// a link in the inner one's place, which Docker follows at its next start.
func (c classifier) nested(ms *mounts) {
	seen := map[[2]string]bool{}
	for _, inner := range ms.all {
		for _, outer := range ms.all {
			pair := [2]string{outer.entry.Source, inner.entry.Source}
			if !outer.replaces(inner) || seen[pair] {
				continue
			}
			seen[pair] = true
			c.load.found(finding.Finding{
				Code: finding.MountNested, Severity: finding.Warning, Subject: c.load.files.mount(inner.service, inner.entry.Target),
				Text: fmt.Sprintf("%s is mounted into %s, but %s can replace it with a link to another folder of the host, since it can write to %s",
					written(inner.entry.Source), inner.service, outer.service, written(outer.entry.Source)),
				Fix: fmt.Sprintf("mount %s read-only in %s, or move %s out of it", written(outer.entry.Source), outer.service, written(inner.entry.Source)),
			})
		}
	}
}

// replaces reports whether a container can put something else in the place of
// another mount's source. One that can write to the host's own folders needs no
// such way.
func (m *mount) replaces(inner *mount) bool {
	return m.entry.Type == types.VolumeTypeBind && inner.entry.Type == types.VolumeTypeBind && !m.entry.ReadOnly &&
		(m.protect != fleet.Config || inner.protect != fleet.Config) && m.protect != fleet.HostPath &&
		m.entry.Source != inner.entry.Source && within(m.entry.Source, inner.entry.Source)
}
