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
		mounts: []agentapi.FoundMount{
			{Source: "/mnt/data/movies/new"},
			{Source: "/mnt/data/shows", Found: agentapi.Found{Files: 3}},
			{Source: "/mnt/nas/photos", Found: agentapi.Found{Mounted: true}},
		},
	}
	content, err := w.withBinds([]byte("schema: 1\n"), map[string][]project.Asked{
		"media":  {{Folder: "/mnt/data/movies", Proposed: fleet.External}, {Folder: "/mnt/data/shows", Proposed: fleet.External}, {Folder: "/mnt/data", Proposed: fleet.Snapshot}},
		"photos": {{Folder: "/mnt/nas/photos", Proposed: fleet.External}, {Folder: "/mnt/data", Proposed: fleet.Snapshot}, {Folder: "/mnt/data/shows/one", Proposed: fleet.Snapshot}},
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
