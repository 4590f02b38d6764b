package hostlink

import (
	"testing"
	"time"

	"salvor/internal/agentapi"
)

// TestAnInventoryIsOfWhatCanBe: its files become files of the repository, so a path can't
// leave its project's folder and a name can't be anything.
func TestAnInventoryIsOfWhatCanBe(t *testing.T) {
	good := agentapi.RunningProject{Name: "notes", Dir: "/opt/notes",
		Files:    []agentapi.FoundFile{{Path: "/opt/notes/compose.yaml", Kind: agentapi.FileCompose, Mode: 0o644}},
		Mounts:   []agentapi.FoundMount{{Source: "/srv/data"}},
		Services: []agentapi.RunningService{{Name: "web"}},
	}
	bad := good
	bad.Files = append(bad.Files, agentapi.FoundFile{Path: "/opt/notes/../../etc/x", Kind: agentapi.FilePlain}, agentapi.FoundFile{Path: "x", Kind: agentapi.FilePlain},
		agentapi.FoundFile{Path: "/opt/notes/a", Kind: "odd"}, agentapi.FoundFile{Path: "/opt/notes/a", Kind: agentapi.FilePlain, Mode: 0o4755})
	bad.Mounts = append(bad.Mounts, agentapi.FoundMount{Source: "/srv/../x"}, agentapi.FoundMount{Source: "/x", Found: agentapi.Found{Bytes: -1}})
	bad.Services = []agentapi.RunningService{{Name: "web", Since: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}}
	r := &agentapi.Inventory{Projects: []agentapi.RunningProject{bad, {Name: "../x"}, {Name: "y", Dir: "opt"}},
		Managers: []agentapi.Manager{{Name: "dockge", Folder: "/opt/stacks"}, {Name: "komodo", Folder: "../etc"}}}
	if err := check("alpha", agentapi.AskInventory{}, r, time.Now()); err != nil {
		t.Fatal(err)
	}
	if len(r.Projects) != 1 || len(r.Projects[0].Files) != 1 || len(r.Projects[0].Mounts) != 1 || !r.Projects[0].Services[0].Since.IsZero() || len(r.Findings) == 0 || len(r.Managers) != 1 {
		t.Errorf("%+v", r)
	}
}
