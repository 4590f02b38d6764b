package mounter_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rclone/rclone/fs"

	"salvor/internal/fleet"
	"salvor/internal/mounter"
	"salvor/internal/secret"
	"salvor/internal/storage"
	"salvor/internal/storage/drivetest"
)

// A sealed remote is a crypt remote on an emulated Drive.
type sealed struct{ Proxy, CA, Token, Root string }

func (s *sealed) open(ctx context.Context) func() (mounter.Remote, error) {
	ctx, config := fs.AddConfig(ctx)
	config.HTTPProxy, config.CaCert = s.Proxy, []string{s.CA}
	remotes := storage.Remotes{
		"drive": {Type: "drive", Options: options(
			"client_id", "salvor", "client_secret", "canary", "token", s.Token, "root_folder_id", s.Root, "scope", "drive",
			"pacer_min_sleep", "1ms", "pacer_burst", "100")},
		"vault": {Type: "crypt", Options: options("remote", "drive:vault", "password", "canary", "password2", "salt")},
	}
	return func() (mounter.Remote, error) {
		return storage.Computer{}.Mountable(ctx, remotes, fleet.Location{Remote: "vault", Path: "shared/library"})
	}
}

func options(pairs ...string) map[string]secret.Value {
	all := map[string]secret.Value{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = secret.NewString(pairs[i+1])
	}
	return all
}

// newSealedStand is a stand whose remote is a crypt remote on a Drive.
func newSealedStand(t *testing.T) (*stand, *drivetest.Server, string) {
	t.Helper()
	s := newStand(t)
	server := drivetest.New(drivetest.Options{})
	root := server.Account("olga@example.com", 0)
	server.AddClient(drivetest.Client{ID: "salvor", Secret: "canary"})
	front, err := drivetest.NewFront(server)
	must(t, err)
	proxy, err := front.Proxy(t.Context())
	must(t, err)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, front.CA, 0o600))
	s.Sealed = &sealed{proxy, ca, server.Grant("olga@example.com", "salvor", drivetest.ScopeDrive), root}
	return s, server, root
}

// TestASealedRemote writes through a crypt remote on Drive, whose listings are late, and
// kills the mounter before anything is uploaded and after that.
func TestASealedRemote(t *testing.T) {
	s, server, root := newSealedStand(t)
	server.ListLate(2)
	s.start()
	content := random(t, 1<<20)
	must(t, os.MkdirAll(filepath.Join(s.Point, "2026/may"), 0o755))
	s.stale()
	at := filepath.Join(s.Point, "2026/may/photo.jpg")
	must(t, os.WriteFile(at, content, 0o644))
	opened, err := os.OpenFile(at, os.O_RDWR, 0)
	must(t, err)
	must(t, errors.Join(opened.Sync(), opened.Close()))
	s.kill()
	s.confirm()
	s.start()
	s.uploaded()
	opened, err = os.OpenFile(at, os.O_RDWR, 0)
	must(t, err)
	copy(content[4096:], "changed in place")
	_, err = opened.WriteAt([]byte("changed in place"), 4096)
	must(t, errors.Join(err, opened.Sync(), opened.Close()))
	s.uploaded()
	must(t, os.Rename(filepath.Join(s.Point, "2026/may"), filepath.Join(s.Point, "2026/june")))
	s.kill()
	must(t, os.RemoveAll(s.Cache))
	s.start()
	if !bytes.Equal(read(t, filepath.Join(s.Point, "2026/june/photo.jpg")), content) {
		t.Error("what was read back from the remote is not what was written")
	}
	files := 0
	for _, e := range server.Look(root) {
		stored, err := server.Content(e.ID)
		must(t, err)
		if strings.Contains(e.Path, "photo") || strings.Contains(e.Path, "library") || bytes.Contains(stored, []byte("changed in place")) {
			t.Errorf("the Drive can read %s", e.Path)
		}
		if !e.Trashed {
			files++
		}
	}
	if files != 1 {
		t.Errorf("there are %d files on the Drive", files)
	}
}
