package agent

import (
	"os"
	"path/filepath"
	"testing"

	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/snapshot"
)

// classes are a stack's volumes of every class, as Docker volumes and as binds.
func classes(h *Host) (all []project.Volume) {
	for _, class := range []fleet.Protection{fleet.Snapshot, fleet.Shared, fleet.External, fleet.HostPath, fleet.Config, fleet.None} {
		name := string(class)
		all = append(all,
			project.Volume{Name: name, Docker: "notes_" + name, Protect: class, Method: fleet.Live},
			project.Volume{Name: "@" + name, Path: filepath.Join(h.Paths.State, "data", "notes", "@"+name), Protect: class, Method: fleet.Live})
	}
	return all
}

// fillAll writes a note into the place of every volume.
func fillAll(t *testing.T, h *Host, st agentapi.Stack, content string) {
	t.Helper()
	for _, v := range st.Volumes {
		if err := os.MkdirAll(h.base().VolumePath(v), 0o755); err != nil {
			t.Fatal(err)
		}
		heretest.Write(t, filepath.Join(h.base().VolumePath(v), "note"), content)
	}
}

// TestEveryClassOfVolume takes, loses and restores volumes of every class: what is
// in snapshots comes back, and what lies in the place of any other stays as it is.
func TestEveryClassOfVolume(t *testing.T) {
	h, remote := newHost(t), t.TempDir()
	spec, st := withRecord(t, h, remote, 1)
	st.Volumes = classes(h)
	for _, v := range h.base().At(spec, st).Protected() {
		if err := h.Snapshots.StartEmpty(st.Name, v, snapshot.Marker{Identity: h.base().At(spec, st).Identity(v.Name), Epoch: st.Epoch}); err != nil {
			t.Fatal(err)
		}
	}
	fillAll(t, h, st, "of the stack")
	if _, err := h.keeper().Take(t.Context(), h.base().At(spec, st), keeper.Taking{Stopped: true, Sink: progress.Discard()}); err != nil {
		t.Fatal(err)
	}

	other := newHost(t)
	spec, st = withRecord(t, other, remote, 2)
	st.Volumes = classes(other)
	fillAll(t, other, st, "of this host")
	a, err := other.base().At(spec, st).Open()
	if err != nil {
		t.Fatal(err)
	}
	r := startup.New(other.keeper(), spec, progress.Discard())
	r.Prepared()
	fetched, err := r.On(a).FetchNewest(t.Context(), other.base().At(spec, st).Protected(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Snapshots.Place(t.Context(), fetched); err != nil {
		t.Fatal(err)
	}
	for _, v := range st.Volumes {
		want := "of this host"
		if v.Protect == fleet.Snapshot {
			want = "of the stack"
		}
		if got, err := os.ReadFile(filepath.Join(other.base().VolumePath(v), "note")); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", v.Name, got, err, want)
		}
	}
}
