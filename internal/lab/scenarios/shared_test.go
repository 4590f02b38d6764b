package scenarios

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
	"salvor/internal/storage/drivetest"
)

// TestSharedVolume has a stack write to a shared volume on Google Drive, and its mounter
// killed: the container reads and writes on at the same path, and every file gets there.
func TestSharedVolume(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, usualFor)
	drive, err := s.Drive(ctx, drivetest.Options{})
	must(t, err)
	drive.Account("olga@example.com", 0)
	drive.AddClient(drivetest.Client{ID: driveClient, Secret: driveSecret})
	w, err := world.New(ctx, s.Lab, world.Options{Log: testLog{t}})
	must(t, err)
	images, err := w.Images(ctx)
	must(t, err)
	alpha := spare(t, w, "alpha")

	_, err = w.Salvor(ctx, strings.NewReader(drive.Grant("olga@example.com", driveClient, drivetest.ScopeDrive)), "secret", "set", "drive_token")
	must(t, err)
	_, err = w.Salvor(ctx, strings.NewReader(driveSecret), "secret", "set", "drive_client")
	must(t, err)
	fleet, err := w.Read("fleet.yaml")
	must(t, err)
	fleet = strings.Replace(fleet, "data:\n", "  drive: {type: drive, client_id: "+driveClient+", client_secret: \"secret:drive_client\", scope: drive, token: \"secret:drive_token\"}\ndata:\n  shared: {remote: drive, path: salvor/shared}\n", 1)
	must(t, w.Write("fleet.yaml", fleet))
	must(t, w.Write("stacks/album/compose.yaml", fmt.Sprintf(`x-salvor:
  host: alpha
  volumes:
    library: {protect: shared}
services:
  web:
    image: %s
    volumes: ["library:/srv/library"]
volumes: {library: {}}
`, images.Nginx)))
	must(t, w.Commit(ctx, "an album on Drive"))
	_, err = w.Salvor(ctx, nil, "apply", "--allow-remote", "drive")
	must(t, err)

	inside := func(script string) error {
		_, err := alpha.Exec(ctx, "docker", "exec", "album-web-1", "sh", "-c", script)
		return err
	}
	uploaded := func() error {
		if out := exec(t, alpha, "grep -rl '\"Dirty\": true' /var/lib/salvor/cache/album/vfsMeta || true"); out != "" {
			return errors.New("not uploaded: " + out)
		}
		return nil
	}
	must(t, inside("echo one > /srv/library/a && sync /srv/library/a"))
	eventually(t, "the file is on Drive", uploaded)
	exec(t, alpha, "systemctl kill -s KILL salvord-mount@album.service")
	eventually(t, "the container has its volume again", func() error {
		return inside("grep -q one /srv/library/a && echo two > /srv/library/b")
	})
	eventually(t, "the second file is on Drive", uploaded)
	status, err := w.Salvor(ctx, nil, "status")
	must(t, err)
	if !strings.Contains(status, "library on drive, not in snapshots") {
		t.Errorf("status says:\n%s", status)
	}
	_, err = w.Salvor(ctx, nil, "down", "album")
	must(t, err)
	if out := exec(t, alpha, "touch /mnt/salvor/album/library/x 2>&1 || true"); !strings.Contains(out, "not permitted") && !strings.Contains(out, "Read-only") {
		t.Errorf("writing under the unmounted volume: %q", out)
	}
	t.Log(drive.Counts())
}

const (
	driveClient = "salvor.apps.googleusercontent.com"
	driveSecret = "the-secret-of-the-client"
)
