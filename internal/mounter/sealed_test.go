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

// TestAFailedRemovalIsAnError: a file that waits for its upload, of which the remote has an
// older version, is not removed while the remote refuses that.
func TestAFailedRemovalIsAnError(t *testing.T) {
	s, server, root := newSealedStand(t)
	s.start()
	at := filepath.Join(s.Point, "a")
	must(t, os.WriteFile(at, []byte("older"), 0o600))
	s.uploaded()
	server.Fail(drivetest.Rule{Kind: drivetest.Update, Fault: drivetest.Refuse(drivetest.ErrStorageFull)})
	must(t, os.WriteFile(at, []byte("newer"), 0o600))
	if os.Remove(at) == nil {
		t.Error("the removal that the remote refused went well")
	}
	server.Mend()
	if got := read(t, at); string(got) != "newer" {
		t.Errorf("the file is %q after that", got)
	}
	must(t, os.Remove(at))
	if all := server.Look(root); len(all) != 1 || !all[0].Trashed {
		t.Errorf("the Drive has %v, want the file in its trash", all)
	}
}

// TestAPartThatWasWrittenStays: while the remote does not answer, a part of a file that the
// cache does not have is either changed permanently, or with an error.
func TestAPartThatWasWrittenStays(t *testing.T) {
	s, server, _ := newSealedStand(t)
	s.start()
	at := filepath.Join(s.Point, "image")
	want := bytes.Repeat([]byte("older..."), 8<<10)
	must(t, os.WriteFile(at, want, 0o600))
	s.uploaded()
	s.stop()
	must(t, os.RemoveAll(s.Cache))
	s.start()
	patch := func(offset int64, content string) {
		f, err := os.OpenFile(at, os.O_RDWR, 0)
		if err == nil {
			_, err = f.WriteAt([]byte(content), offset)
			err = errors.Join(err, f.Sync(), f.Close())
		}
		if err == nil {
			copy(want[offset:], content)
		}
	}
	server.Fail(drivetest.Rule{Kind: drivetest.Download, Fault: drivetest.Refuse(drivetest.ErrStorageFull)})
	patch(4096, "first")
	patch(8192, "second")
	server.Mend()
	// a reading of the remote that was under way may fail the next change, too
	eventually(t, "the file can be changed after that", func() bool {
		patch(16384, "third")
		return bytes.Contains(want, []byte("third"))
	})
	if got := read(t, at); !bytes.Equal(got, want) {
		t.Errorf("first, second, third are in the file: %v, %v, %v", bytes.Contains(got, []byte("first")), bytes.Contains(got, []byte("second")), bytes.Contains(got, []byte("third")))
	}
	s.uploaded()
}
