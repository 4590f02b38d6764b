package twin

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/sign"
	"salvor/internal/stack/compose"
)

// versions of a stack that worlds deploy; the last one never comes up.
const versions = 3

// A workshop holds what all worlds are made with, and what is too dear to be made for
// each: stacks as the real renderer makes them, and the fleet's signing key.
type workshop struct {
	key    sign.Key
	stacks map[string][]project.Rendered // by name, each version
}

// stackNames are the stacks that a world may have, with the method of their volume.
var stackNames = map[string]fleet.Method{"notes": fleet.Pause, "shop": fleet.Live}

func newWorkshop(ctx context.Context) (*workshop, error) {
	private, err := sign.NewKey("twin")
	if err != nil {
		return nil, err
	}
	w := &workshop{stacks: map[string][]project.Rendered{}}
	if w.key, err = sign.ParseKey(private); err != nil {
		return nil, err
	}
	for name, method := range stackNames {
		for version := range versions {
			r, err := render(ctx, name, image(name, version), method)
			if err != nil {
				return nil, err
			}
			w.stacks[name] = append(w.stacks[name], r)
		}
	}
	return w, nil
}

func image(stack string, version int) string {
	if version == versions-1 {
		return "reg.example.net/" + stack + ":bad"
	}
	return fmt.Sprintf("reg.example.net/%s:%d", stack, version+1)
}

// render is what the operator's program makes of a Compose file with one service, one
// volume and one secret.
func render(ctx context.Context, name, image string, method fleet.Method) (project.Rendered, error) {
	dir, err := os.MkdirTemp("", "twin-")
	if err != nil {
		return project.Rendered{}, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is in memory
	st := fleet.Stack{Name: name, Dir: "stacks/" + name, File: "compose.yaml"}
	if err := os.MkdirAll(filepath.Join(dir, st.Dir), 0o700); err != nil {
		return project.Rendered{}, err
	}
	text := fmt.Sprintf(`services:
  app:
    image: %s
    restart: unless-stopped
    environment: {TOKEN: "${TOKEN}"}
    volumes: ["data:/data"]
volumes:
  data: {}
`, image)
	if err := os.WriteFile(filepath.Join(dir, st.Dir, st.File), []byte(text), 0o600); err != nil {
		return project.Rendered{}, err
	}
	loaded, found, err := compose.Load(ctx, compose.Options{RepoDir: dir, Stack: st, SecretKeys: []string{"TOKEN"}})
	if err == nil && finding.AnyFatal(found) {
		err = fmt.Errorf("%s: %s", name, found[0].Text)
	}
	if err != nil {
		return project.Rendered{}, err
	}
	for i := range loaded.Volumes {
		loaded.Volumes[i].Protect, loaded.Volumes[i].Method = fleet.Snapshot, method
	}
	return project.Rendered{Project: loaded.Project, Volumes: loaded.Volumes}, nil
}
