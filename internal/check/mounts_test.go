package check

import (
	"testing"

	"salvor/internal/controlrepo"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// TestS31ABindWithinAnotherStacksIsAFinding on one host, and on that alone.
func TestS31ABindWithinAnotherStacksIsAFinding(t *testing.T) {
	t.Parallel()
	bind := func(path string, p fleet.Protection) project.Rendered {
		return project.Rendered{Volumes: []project.Volume{{Name: "@", Source: path, Path: path, Protect: p}}}
	}
	for name, c := range map[string]struct {
		outer project.Rendered
		host  string
		want  int
	}{
		"within":            {bind("/srv/media", fleet.Snapshot), "alpha", 1},
		"on another host":   {bind("/srv/media", fleet.Snapshot), "beta", 0},
		"beside":            {bind("/srv/med", fleet.Snapshot), "alpha", 0},
		"of the host's own": {bind("/srv", fleet.HostPath), "alpha", 0},
	} {
		of := commit{
			repo:   &controlrepo.Repository{Fleet: fleet.Fleet{Stacks: []fleet.Stack{{Name: "films", Host: "alpha"}, {Name: "share", Host: c.host}}}},
			stacks: map[string]project.Rendered{"films": bind("/srv/media/films", fleet.Snapshot), "share": c.outer},
		}
		got := of.mountsNested()
		if len(got) != c.want || c.want > 0 && (got[0].Code != finding.MountNested || got[0].Subject != "alpha/films") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
