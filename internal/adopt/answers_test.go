package adopt

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// TestOneAnswerCoversAFolder: what is in a folder that says the same is not asked again, and
// an empty folder of the host's own disk is not taken for a share.
func TestOneAnswerCoversAFolder(t *testing.T) {
	w := &work{
		receipt: Receipt{Stacks: []Adopted{{Stack: "media"}, {Stack: "photos"}}},
		mounts: map[string][]agentapi.FoundMount{"media": {
			{Source: "/mnt/data/movies/new"},
			{Source: "/mnt/data/shows", Found: agentapi.Found{Files: 3}},
			{Source: "/mnt/nas/photos", Found: agentapi.Found{Mounted: true}},
		}},
	}
	content, err := w.withBinds([]byte("schema: 1\n"), map[string]project.Rendered{
		"media":  {Asked: []project.Asked{{Folder: "/mnt/data/movies", Proposed: fleet.External}, {Folder: "/mnt/data/shows", Proposed: fleet.External}, {Folder: "/mnt/data", Proposed: fleet.Snapshot}}},
		"photos": {Asked: []project.Asked{{Folder: "/mnt/nas/photos", Proposed: fleet.External}, {Folder: "/mnt/data", Proposed: fleet.Snapshot}, {Folder: "/mnt/data/shows/one", Proposed: fleet.Snapshot}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, "/") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := []string{"/mnt/data: snapshot", "/mnt/data/shows: external", "/mnt/nas/photos: external", "/mnt/data/shows/one: snapshot"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestWhatIsKeptElsewhereHasToBeThere: of folders that would be kept elsewhere, one that a
// stack would wait for is its own data; one that fstab names is a share.
func TestWhatIsKeptElsewhereHasToBeThere(t *testing.T) {
	full, empty := agentapi.FoundMount{Source: "/srv/media/movies", Found: agentapi.Found{Files: 3}}, agentapi.FoundMount{Source: "/srv/media/tv", Absent: true}
	mounted := agentapi.FoundMount{Source: "/srv/media", Absent: true, Found: agentapi.Found{Mounted: true}}
	share := agentapi.FoundMount{Source: "/mnt/nas/tv", Absent: true, Unmounted: true}
	for name, c := range map[string]struct {
		folder string
		mounts []agentapi.FoundMount
		want   fleet.Protection
	}{
		"files":                       {"/srv/media", []agentapi.FoundMount{full, empty}, fleet.External},
		"nothing":                     {"/srv/media", []agentapi.FoundMount{empty}, fleet.Snapshot},
		"an empty disk of the host's": {"/srv/media", []agentapi.FoundMount{mounted}, fleet.Snapshot},
		"a share that is not mounted": {"/mnt/nas", []agentapi.FoundMount{share}, fleet.External},
	} {
		if got := proposed(project.Asked{Folder: c.folder, Proposed: fleet.External}, c.mounts); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestAFolderAroundOtherProjects is that of a manager: what is in it is theirs.
func TestAFolderAroundOtherProjects(t *testing.T) {
	all := []string{"/opt/stacks/notes", "/opt/stacks/dockge", "/opt/stacks/photos", "/srv/x", ""}
	for folder, want := range map[string][]string{"/opt/stacks": {"notes", "photos"}, "/opt/stacks/notes": nil, "/opt/stack": nil, "/opt/stacks/dockge": nil} {
		if diff := cmp.Diff(want, around(folder, "/opt/stacks/dockge", all)); diff != "" {
			t.Errorf("%s: %s", folder, diff)
		}
	}
}
