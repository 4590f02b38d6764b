package storage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/hash"
)

// twins is a file system that, like Drive, lets several objects have one name
// and finds any of them.
type twins struct {
	fs.Fs   // nil: what is not overridden is not called
	objects []*twin
	made    int
}

type twin struct {
	in      *twins
	id      string
	name    string
	content []byte
}

func (f *twins) Features() *fs.Features { return &fs.Features{DuplicateFiles: true} }
func (f *twins) Hashes() hash.Set       { return hash.NewHashSet() }
func (f *twins) Name() string           { return "twins" }

func (f *twins) NewObject(_ context.Context, name string) (fs.Object, error) {
	for _, o := range f.objects {
		if o.name == name {
			return o, nil
		}
	}
	return nil, fs.ErrorObjectNotFound
}

// Put makes another object without looking, as when two writers race.
func (f *twins) Put(_ context.Context, in io.Reader, src fs.ObjectInfo, _ ...fs.OpenOption) (fs.Object, error) {
	content, err := io.ReadAll(in)
	f.made++
	o := &twin{in: f, id: fmt.Sprint(f.made), name: src.Remote(), content: content}
	f.objects = append(f.objects, o)
	return o, err
}

func (o *twin) ID() string                                                               { return o.id }
func (o *twin) Remote() string                                                           { return o.name }
func (o *twin) String() string                                                           { return o.name }
func (o *twin) Size() int64                                                              { return int64(len(o.content)) }
func (o *twin) ModTime(context.Context) time.Time                                        { return time.Time{} }
func (o *twin) SetModTime(context.Context, time.Time) error                              { return nil }
func (o *twin) Fs() fs.Info                                                              { return o.in }
func (o *twin) Storable() bool                                                           { return true }
func (o *twin) Hash(context.Context, hash.Type) (string, error)                          { return "", hash.ErrUnsupported }
func (o *twin) Update(context.Context, io.Reader, fs.ObjectInfo, ...fs.OpenOption) error { return nil }

func (o *twin) Open(context.Context, ...fs.OpenOption) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(o.content)), nil
}

func (o *twin) Remove(context.Context) error {
	o.in.objects = slices.DeleteFunc(o.in.objects, func(other *twin) bool { return other == o })
	return nil
}

func twinsFolder(below *twins) *Folder {
	return &Folder{
		remote: "drive", fs: below, pause: retryPause, patience: patience,
		hashes: func() hash.Set { return comparable(below) },
	}
}

func TestPutLeavesNoTwin(t *testing.T) {
	below := &twins{}
	f := twinsFolder(below)
	for _, content := range []string{"first", "second", "third"} {
		if _, err := f.Put(t.Context(), "f", strings.NewReader(content), int64(len(content))); err != nil {
			t.Fatal(err)
		}
		if len(below.objects) != 1 || string(below.objects[0].content) != content {
			t.Errorf("after %q there are %d objects", content, len(below.objects))
		}
	}
}

func TestDeleteRemovesTwins(t *testing.T) {
	below := &twins{}
	for i := range 3 {
		below.objects = append(below.objects, &twin{in: below, id: fmt.Sprint(i), name: "f"})
	}
	f := twinsFolder(below)
	if err := f.Delete(t.Context(), "f"); err != nil || len(below.objects) != 0 {
		t.Errorf("%v, %d objects left", err, len(below.objects))
	}
}
