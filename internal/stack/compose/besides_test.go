package compose

import (
	"strings"
	"testing"

	"salvor/internal/finding"
	"salvor/internal/fleet"
)

// TestFoldersNextToTheStacks: people have a folder of data next to those of their stacks.
// It is a folder of the host if it is known where the stack is there, and is classified as
// such; if not, two stacks would get two folders from one path.
func TestFoldersNextToTheStacks(t *testing.T) {
	const media = "services: {web: {image: nginx, volumes: [\"../media:/media\", \"../common/nginx.conf:/etc/nginx/nginx.conf:ro\"]}}\n"
	for name, c := range map[string]struct {
		dir   string
		binds fleet.Binds
		said  []fleet.VolumePolicy
		want  fleet.Protection
		text  string // of a fatal finding
		fix   string
	}{
		"nothing is known": {text: "web: ../media is next to the stack's folder and not in Git, so it is not known where a host has it",
			fix: "write its full path: /srv/media:/media; or, if the stack and its data are in /opt/stacks/app there already: x-salvor: {dir: /opt/stacks/app}, which makes it /opt/stacks/media"},
		"said, but not where": {said: []fleet.VolumePolicy{{Volume: "../media", Protect: fleet.External}}, text: "it is not known where a host has it", fix: "write its full path: "},
		"its place is known":  {dir: "/opt/stacks/app", text: "web: /opt/stacks/media is a folder of the host", fix: "add to fleet.yaml: binds: {/opt/stacks/media: external}"},
		"a bind of the fleet": {dir: "/opt/stacks/app", binds: fleet.Binds{{Folder: "/opt/stacks/media", Protect: fleet.External}}, want: fleet.External},
		"said by the stack":   {dir: "/opt/stacks/app", said: []fleet.VolumePolicy{{Volume: "../media/", Protect: fleet.None}}, want: fleet.None},
		"by its full path":    {dir: "/opt/stacks/app", said: []fleet.VolumePolicy{{Volume: "/opt/stacks/media", Protect: fleet.Snapshot}}, want: fleet.Snapshot},
	} {
		t.Run(name, func(t *testing.T) {
			opts := stackOf(t, map[string]string{"compose.yaml": media, "../common/nginx.conf": "x\n"})
			opts.Stack.ProjectDir, opts.Stack.Volumes, opts.Binds = c.dir, c.said, c.binds
			_, found, loaded := running(t, opts)
			if c.text != "" {
				if len(found) != 1 || found[0].Severity != finding.Fatal || !strings.Contains(found[0].Text, c.text) || !strings.HasPrefix(found[0].Fix, c.fix) {
					t.Errorf("found %+v", found)
				}
				return
			}
			if finding.AnyFatal(found) || len(loaded.Volumes) != 1 || loaded.Volumes[0].Path != "/opt/stacks/media" || loaded.Volumes[0].Protect != c.want {
				t.Errorf("found %v, volumes %+v", found, loaded.Volumes)
			}
			if !strings.Contains(string(loaded.Project.Compose), "source: /opt/stacks/media\n") {
				t.Errorf("rendered:\n%s", loaded.Project.Compose)
			}
		})
	}
}
