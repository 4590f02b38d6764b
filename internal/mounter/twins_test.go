package mounter

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rclone/rclone/backend/drive"
	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config/configmap"
	"github.com/rclone/rclone/fs/object"

	"salvor/internal/storage/drivetest"
)

const owner = "olga@example.com"

// onDrive is a folder of an emulated Drive, as a mount has it.
func onDrive(t *testing.T) (*held, *drivetest.Server, string) {
	t.Helper()
	server := drivetest.New(drivetest.Options{})
	root := server.Account(owner, 0)
	server.AddClient(drivetest.Client{ID: "salvor", Secret: "canary"})
	front, err := drivetest.NewFront(server)
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
	remote, err := drive.NewFs(ctx, "drive", "", configmap.Simple{
		"client_id": "salvor", "client_secret": "canary", "scope": "drive", "token": server.Grant(owner, "salvor", drivetest.ScopeDrive),
		"root_folder_id": root, "pacer_min_sleep": "1ms", "pacer_burst": "100", "v2_download_min_size": "off", "chunk_size": "8M", "upload_cutoff": "8M", "list_chunk": "1000",
		"export_formats": "docx", "encoding": "InvalidUtf8",
	})
	if err != nil {
		t.Fatal(err)
	}
	return hold("library", remote, func() bool { return true }, true), server, root
}

func there(server *drivetest.Server, root string) []string {
	var all []string
	for _, e := range server.Look(root) {
		if !e.Trashed {
			all = append(all, e.Path)
		}
	}
	slices.Sort(all)
	return all
}

func put(t *testing.T, h *held, name, content string, at time.Time) fs.Object {
	t.Helper()
	o, err := h.Put(t.Context(), strings.NewReader(content), object.NewStaticObjectInfo(name, at, int64(len(content)), true, nil, h))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestTwins: of files of one name the newest one is the file, and the others go with a
// listing, or with it.
func TestTwins(t *testing.T) {
	h, server, root := onDrive(t)
	if _, err := server.MakeFile(root, "a", []byte("older")); err != nil {
		t.Fatal(err)
	}
	server.ListLate(1)
	put(t, h, "a", "newer", time.Now().Add(time.Hour))
	if _, err := server.MakeFile(root, "a", []byte("a third")); err != nil {
		t.Fatal(err)
	}
	entries, err := h.List(t.Context(), "")
	if err != nil || len(entries) != 1 || entries[0].Size() != int64(len("newer")) {
		t.Fatalf("listed %v, %v", entries, err)
	}
	if all := there(server, root); !slices.Equal(all, []string{"a"}) {
		t.Errorf("after a listing there is %q", all)
	}
	if _, err := server.MakeFile(root, "a", []byte("once more")); err != nil {
		t.Fatal(err)
	}
	if err := entries[0].(fs.Object).Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := there(server, root); len(all) > 0 {
		t.Errorf("after the removal there is %q", all)
	}
}

// TestARenamedFileGetsItsName: an upload over an object of another name moves that first.
func TestARenamedFileGetsItsName(t *testing.T) {
	h, server, root := onDrive(t)
	o := put(t, h, "old", "1", time.Now())
	src := object.NewStaticObjectInfo("new", time.Now(), 2, true, nil, h)
	if err := o.Update(t.Context(), strings.NewReader("22"), src); err != nil {
		t.Fatal(err)
	}
	if all := there(server, root); !slices.Equal(all, []string{"new"}) || o.Remote() != "new" {
		t.Errorf("there is %q, and the object is %s", all, o.Remote())
	}
}

// TestAnUploadedFileFollowsItsName: one that was renamed as its upload ended gets its name.
func TestAnUploadedFileFollowsItsName(t *testing.T) {
	h, server, root := onDrive(t)
	o := put(t, h, "old", "1", time.Now())
	for _, name := range []string{"new", "new"} {
		if err := h.follow(t.Context(), o, name); err != nil {
			t.Fatal(err)
		}
	}
	if all := there(server, root); !slices.Equal(all, []string{"new"}) || o.Remote() != "new" {
		t.Errorf("there is %q, and the object is %s", all, o.Remote())
	}
}

// TestAChangedFileIsNotMixed: what another host has changed since it was listed is not read
// with the size that it had.
func TestAChangedFileIsNotMixed(t *testing.T) {
	h, _, _ := onDrive(t)
	put(t, h, "a", "short", time.Now())
	listed, err := h.NewObject(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if in, err := listed.Open(t.Context()); err != nil {
		t.Fatal(err)
	} else if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, h, "a", "much longer", time.Now().Add(time.Minute))
	if _, err := listed.Open(t.Context()); !errors.Is(err, errChanged) {
		t.Errorf("the file that was changed opens: %v", err)
	}
}

// TestUploadsAndRenamesAreApart: a rename waits for an upload below it, and has the next one
// wait.
func TestUploadsAndRenamesAreApart(t *testing.T) {
	u := newUploads()
	end, err := u.begin(t.Context(), "folder/a")
	if err != nil {
		t.Fatal(err)
	}
	if other, err := u.begin(t.Context(), "folder/b"); err != nil {
		t.Fatal(err)
	} else {
		other()
	}
	held := make(chan func())
	go func() {
		release, _ := u.hold(t.Context(), time.Minute, "folder", "elsewhere")
		held <- release
	}()
	select {
	case <-held:
		t.Fatal("the rename did not wait for the upload")
	case <-time.After(20 * time.Millisecond):
	}
	end()
	release := <-held
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := u.begin(soon, "folder/a"); err == nil {
		t.Fatal("an upload began during the rename")
	}
	release()
	if end, err = u.begin(t.Context(), "folder/a"); err != nil {
		t.Fatal(err)
	}
	release, quiet := u.hold(t.Context(), time.Millisecond, "folder/a")
	if release(); quiet {
		t.Error("an upload is under way, and it is said to be over")
	}
	end()
	if len(u.under)+len(u.still) > 0 {
		t.Errorf("left: %v, %v", u.under, u.still)
	}
}
