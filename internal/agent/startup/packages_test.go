package startup

import (
	"slices"
	"strings"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/hostprep"
	"salvor/internal/machine"
	"salvor/internal/machine/debiantest"
	"salvor/internal/project"
)

// TestOwnPackagesAreNoted: what Salvor's own work needs and the host lacks is Salvor's; sqlite3
// where a database of SQLite is snapshotted alone.
func TestOwnPackagesAreNoted(t *testing.T) {
	t.Parallel()
	volume := project.Volume{Name: "data", Protect: fleet.Snapshot, Method: fleet.SQLite}
	for name, c := range map[string]struct {
		installed string
		volumes   []project.Volume
		want      []string
	}{
		"nothing to copy":     {"", nil, []string{hostprep.Restic}},
		"a database":          {"", []project.Volume{volume}, hostprep.OwnPackages()},
		"the host had both":   {"restic sqlite3", []project.Volume{volume}, nil},
		"the host had restic": {"restic", []project.Volume{volume}, []string{hostprep.SQLite}},
	} {
		m := debiantest.New()
		for _, p := range strings.Fields(c.installed) {
			m.Available[p] = debiantest.Package{Version: "1.0"}
			m.RefreshLists()
			if _, err := m.Run(t.Context(), machine.Command("apt-get", "install", "--yes", "--", p)); err != nil {
				t.Fatal(err)
			}
		}
		h := &here.Host{Machine: m, Paths: hostpath.Layout{State: t.TempDir()}}
		spec := agentapi.Host{Name: "alpha", Stacks: []agentapi.Stack{{Volumes: c.volumes}}}
		if err := NotePackages(t.Context(), h, spec); err != nil {
			t.Fatal(err)
		}
		for _, p := range hostprep.OwnPackages() {
			if got, want := here.Brought(h, p), slices.Contains(c.want, p); got != want {
				t.Errorf("%s: %s is noted: %v, want %v", name, p, got, want)
			}
		}
	}
}
