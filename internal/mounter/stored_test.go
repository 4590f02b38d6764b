package mounter

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/object"

	"salvor/internal/storage/drivetest"
)

// stored returns what a folder lists, and the content of its files.
func stored(t *testing.T, h *held, dir string) map[string]string {
	t.Helper()
	entries, err := h.List(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		if _, again := all[e.Remote()]; again {
			t.Errorf("%s is listed twice", e.Remote())
		}
		all[e.Remote()] = ""
		if o, is := e.(fs.Object); is {
			in, err := o.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(in)
			if err := errors.Join(err, in.Close()); err != nil {
				t.Fatal(err)
			}
			all[e.Remote()] = string(content)
		}
	}
	return all
}

// TestStoredMeansListed: an upload is over when a listing has the file, and nothing older of
// its name: the answer to its first try was lost.
func TestStoredMeansListed(t *testing.T) {
	h, server, root := onDrive(t)
	h.others = false
	server.ListLate(3)
	server.Fail(drivetest.Rule{Kind: drivetest.Create, Count: 1, Fault: drivetest.RefuseLate(drivetest.ErrUnavailable)})
	before := time.Now()
	src := object.NewStaticObjectInfo("a", before, 5, true, nil, h)
	if _, err := h.Put(t.Context(), strings.NewReader("older"), src); err == nil {
		t.Fatal("the answer was not lost")
	}
	put(t, h, "a", "newer", before.Add(-time.Hour)) // a program may set any time
	if got := stored(t, h, ""); got["a"] != "newer" {
		t.Errorf("listed is %v", got)
	}
	if all := there(server, root); !slices.Equal(all, []string{"a"}) {
		t.Errorf("there is %q", all)
	}
}

// TestLateMeansNotStored: an upload fails while no listing has the file. The next try uploads
// nothing again, and a rename and a removal reach it.
func TestLateMeansNotStored(t *testing.T) {
	h, server, root := onDrive(t)
	h.others, h.patience = false, time.Millisecond
	server.ListLate(5)
	upload := func(name, content string, at time.Time) error {
		src := object.NewMemoryObject(name, at, []byte(content))
		_, err := h.Put(t.Context(), strings.NewReader(content), src)
		return err
	}
	at := time.Now()
	if err := upload("a", "content", at); !errors.Is(err, errLate) {
		t.Fatalf("the upload ended with %v", err)
	}
	if err := h.moveLost(t.Context(), "a", "b", nil); err != nil {
		t.Fatal(err)
	}
	h.doubts.renamed("a", "b")
	h.patience = time.Minute
	if err := upload("b", "content", at); err != nil {
		t.Fatal(err)
	}
	if n := server.Counts()[drivetest.Create]; n != 1 {
		t.Errorf("the file was uploaded %d times", n)
	}
	if all := there(server, root); !slices.Equal(all, []string{"b"}) {
		t.Errorf("there is %q", all)
	}
	h.patience = time.Millisecond
	if err := upload("c", "content", at); !errors.Is(err, errLate) {
		t.Fatalf("the upload ended with %v", err)
	}
	if err := h.removeLost(t.Context(), "c", nil); err != nil {
		t.Fatal(err)
	}
	if all := there(server, root); !slices.Equal(all, []string{"b"}) {
		t.Errorf("after the removal there is %q", all)
	}
}

// TestALateFolderIsMadeOnce: a folder that is renamed just after it was made, with a file in
// it, is one folder.
func TestALateFolderIsMadeOnce(t *testing.T) {
	h, server, _ := onDrive(t)
	server.ListLate(3)
	server.Fail(drivetest.Rule{Kind: drivetest.Create, Count: 1, Fault: drivetest.RefuseLate(drivetest.ErrUnavailable)})
	if err := h.Mkdir(t.Context(), "new"); err != nil {
		t.Fatal(err)
	}
	if err := h.Features().DirMove(t.Context(), h, "new", "renamed"); err != nil {
		t.Fatal(err)
	}
	put(t, h, "renamed/a", "content", time.Now())
	if got := stored(t, h, ""); len(got) != 1 {
		t.Errorf("the top has %v", got)
	}
	if got := stored(t, h, "renamed"); got["renamed/a"] != "content" {
		t.Errorf("the folder has %v", got)
	}
}

// TestFoldersOfOneNameAreOne: what is in both is in the one that is left.
func TestFoldersOfOneNameAreOne(t *testing.T) {
	h, server, root := onDrive(t)
	for _, name := range []string{"a", "b"} {
		folder := server.MakeFolder(root, "twin")
		if _, err := server.MakeFile(folder, name, []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if got := stored(t, h, ""); len(got) != 1 {
		t.Errorf("the top has %v", got)
	}
	if got := stored(t, h, "twin"); got["twin/a"] != "a" || got["twin/b"] != "b" {
		t.Errorf("the folder has %v", got)
	}
	put(t, h, "twin/c", "c", time.Now())
	if all := there(server, root); !slices.Equal(all, []string{"twin/a", "twin/b", "twin/c"}) {
		t.Errorf("there is %q", all)
	}
}

// TestNothingIsUploadedIntoTheTrash: an object that went as a twin is not written to.
func TestNothingIsUploadedIntoTheTrash(t *testing.T) {
	h, server, root := onDrive(t)
	before := time.Now()
	older := put(t, h, "a", "older", before)
	if _, err := server.MakeFile(root, "a", []byte("newer")); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, h, ""); got["a"] != "newer" {
		t.Fatalf("listed is %v", got)
	}
	src := object.NewStaticObjectInfo("a", before.Add(time.Hour), 6, true, nil, h)
	if err := older.Update(t.Context(), strings.NewReader("newest"), src); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, h, ""); got["a"] != "newest" {
		t.Errorf("listed is %v", got)
	}
	if all := there(server, root); !slices.Equal(all, []string{"a"}) {
		t.Errorf("there is %q", all)
	}
}

// TestWhatIsListedIsCompared: the object of an upload is that of a look after it, which has
// the size and the checksum of what is there, whatever the answer to the upload was.
func TestWhatIsListedIsCompared(t *testing.T) {
	h, server, root := onDrive(t)
	o := put(t, h, "a", "content", time.Now())
	kinds := map[string]string{"first": drivetest.Create, "again": drivetest.Update}
	for name, upload := range map[string]func() (fs.Object, error){
		"first": func() (fs.Object, error) {
			src := object.NewStaticObjectInfo("b", time.Now(), 7, true, nil, h)
			return h.Put(t.Context(), strings.NewReader("content"), src)
		},
		"again": func() (fs.Object, error) {
			src := object.NewStaticObjectInfo("a", time.Now().Add(time.Second), 7, true, nil, h)
			return o, o.Update(t.Context(), strings.NewReader("CONTENT"), src)
		},
	} {
		server.Fail(drivetest.Rule{Kind: kinds[name], Count: 1, Fault: drivetest.Then(func() {
			for _, e := range server.Look(root) {
				if err := server.Damage(e.ID, []byte("con")); err != nil {
					t.Error(err)
				}
			}
		})})
		got, err := upload()
		if err != nil || got.Size() != 3 {
			t.Errorf("%s: the object has %d bytes, %v", name, got.Size(), err)
		}
	}
}
