package storage_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rclone/rclone/fs"

	"salvor/internal/blob"
	"salvor/internal/blob/blobtest"
	"salvor/internal/fleet"
	"salvor/internal/storage"
	"salvor/internal/storage/drivetest"
)

const (
	olga   = "olga@example.com"
	client = "salvor.apps.googleusercontent.com"
)

// A googleDrive is an emulated Drive with one person's account, and the way to it.
type googleDrive struct {
	*drivetest.Server
	ctx    context.Context // in which rclone goes through the emulator's proxy
	root   string
	shared string
}

func newDrive(t *testing.T, o drivetest.Options) *googleDrive {
	t.Helper()
	d := &googleDrive{Server: drivetest.New(o)}
	d.root = d.Account(olga, 0)
	d.shared = d.SharedDrive("family", map[string]drivetest.Role{olga: drivetest.Manager})
	d.AddClient(drivetest.Client{ID: client, Secret: canary})
	d.ctx = throughProxy(t, d.Server)
	return d
}

// throughProxy returns a context in which rclone finds Google's hosts at the emulator.
func throughProxy(t *testing.T, s *drivetest.Server) context.Context {
	t.Helper()
	front, err := drivetest.NewFront(s)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, front.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	proxy, err := front.Proxy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, config := fs.AddConfig(t.Context())
	config.HTTPProxy, config.CaCert = proxy, []string{ca}
	return ctx
}

// remote is a declared remote of type drive with these options in addition to its login.
func (d *googleDrive) remote(pairs ...string) storage.Remote {
	pairs = append(pairs, "client_id", client, "client_secret", canary, "token", d.Grant(olga, client, drivetest.ScopeDrive), "pacer_min_sleep", "1ms")
	return storage.Remote{Type: "drive", Options: options(pairs...)}
}

func (d *googleDrive) open(t *testing.T, remotes storage.Remotes, remote, path string) *storage.Folder {
	t.Helper()
	f, err := storage.Open(d.ctx, remotes, fleet.Location{Remote: remote, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close(context.WithoutCancel(t.Context())) })
	return f
}

func TestDrive(t *testing.T) {
	d := newDrive(t, drivetest.Options{})
	plain := d.remote("root_folder_id", d.MakeFolder(d.root, "salvor"))
	remotes := storage.Remotes{
		"plain": plain, "shared": d.remote("team_drive", d.shared),
		"sealed": {Type: "crypt", Options: options("remote", "plain:sealed", "password", canary, "password2", "salt")},
	}
	for _, remote := range []string{"plain", "shared", "sealed"} {
		t.Run(remote, func(t *testing.T) {
			n := 0
			blobtest.Run(t, func(t *testing.T) blob.Store {
				n++
				return d.open(t, remotes, remote, fmt.Sprintf("%s/folder %d", remote, n))
			})
		})
	}
	t.Log(d.Counts())
}
