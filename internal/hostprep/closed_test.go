package hostprep_test

import (
	"io/fs"
	"strings"
	"testing"

	"salvor/internal/converge"
	"salvor/internal/converge/convergetest"
	"salvor/internal/hostprep"
	"salvor/internal/machine/debiantest"
	"salvor/internal/machine/observe"
	"salvor/internal/progress"
	"salvor/internal/resource"
)

// openHost is a host that an earlier release prepared: its users pass through.
func openHost() *debiantest.Host {
	h := newHost()
	for _, dir := range []string{
		"/etc/salvor", "/var/lib/salvor", "/var/lib/salvor/stacks", "/var/lib/salvor/volumes", "/var/lib/salvor/journal",
		"/mnt/salvor", "/run/salvor", "/run/salvor/gate", "/run/salvor/secrets",
	} {
		h.Put(dir+"/there", "", 0o644) // in a folder that everyone may list
	}
	return h
}

// TestS10FoldersAreClosedToOtherUsersOfTheHost: on a new host and on one that was
// open, cut at every call.
func TestS10FoldersAreClosedToOtherUsersOfTheHost(t *testing.T) {
	t.Parallel()
	resources, err := hostprep.Resources(debian13(), hostprep.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	convergetest.Law(t, openHost, resources...)
	for name, h := range map[string]*debiantest.Host{"new": newHost(), "open": openHost()} {
		p, err := converge.NewPlan(t.Context(), h, resources)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Apply(t.Context(), progress.Scope{Sink: progress.Discard()}); err != nil {
			t.Fatal(err)
		}
		closed(t, name, h, resources)
	}
}

func closed(t *testing.T, name string, h *debiantest.Host, resources []converge.Resource) {
	t.Helper()
	seen := 0
	for _, r := range resources {
		d, ok := r.(resource.Directory)
		if !ok || !strings.Contains(d.Path, "salvor") {
			continue
		}
		seen++
		is, err := observe.New(h).File(t.Context(), d.Path)
		if err != nil || is.Mode != fs.ModeDir|0o700 {
			t.Errorf("%s host: %s is %s, %v", name, d.Path, is.Mode, err)
		}
	}
	if seen < 9 {
		t.Errorf("%s host: %d folders", name, seen)
	}
}
