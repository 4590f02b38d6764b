package storage

import (
	"bytes"
	"context"
	"errors"
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
	after   func() // a Put, as another writer who is quick
}

type twin struct {
	in      *twins
	id      string
	name    string
	content []byte
	at      time.Time
}

func (f *twins) Features() *fs.Features {
	return &fs.Features{DuplicateFiles: true, PutUnchecked: f.Put}
}
func (f *twins) Precision() time.Duration { return time.Millisecond }

func (f *twins) List(context.Context, string) (entries fs.DirEntries, _ error) {
	for _, o := range f.objects {
		entries = append(entries, o)
	}
	return entries, nil
}
func (f *twins) Hashes() hash.Set { return hash.NewHashSet() }
func (f *twins) Name() string     { return "twins" }

func (f *twins) NewObject(_ context.Context, name string) (fs.Object, error) {
	for _, o := range f.objects {
		if o.name == name {
			return o, nil
		}
	}
	return nil, fs.ErrorObjectNotFound
}

// Put makes another object without looking, as when two writers race.
func (f *twins) Put(ctx context.Context, in io.Reader, src fs.ObjectInfo, _ ...fs.OpenOption) (fs.Object, error) {
	content, err := io.ReadAll(in)
	f.made++
	o := &twin{in: f, id: fmt.Sprint(f.made), name: src.Remote(), content: content, at: src.ModTime(ctx)}
	f.objects = append(f.objects, o)
	if f.after != nil {
		f.after()
	}
	return o, err
}

func (o *twin) ID() string                                                               { return o.id }
func (o *twin) Remote() string                                                           { return o.name }
func (o *twin) String() string                                                           { return o.name }
func (o *twin) Size() int64                                                              { return int64(len(o.content)) }
func (o *twin) ModTime(context.Context) time.Time                                        { return o.at }
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

// TestTwoWritersAtOnce: the newer object stays, and the other's writer gets an error.
func TestTwoWritersAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		at      time.Duration // of the other's, after this one's
		content string
		want    error
		stays   string
	}{
		"the other is older":              {-time.Hour, "theirs", nil, "ours"},
		"the other is newer":              {time.Hour, "theirs", errOvertaken, "theirs"},
		"the other is newer and the same": {time.Hour, "ours", nil, "ours"},
	} {
		t.Run(name, func(t *testing.T) {
			below := &twins{}
			below.after = func() {
				below.objects = append([]*twin{{in: below, id: "other", name: "f", content: []byte(c.content), at: time.Now().Add(c.at)}}, below.objects...)
			}
			_, err := twinsFolder(below).Put(t.Context(), "f", strings.NewReader("ours"), 4)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || len(below.objects) != 1 || string(below.objects[0].content) != c.stays {
				t.Errorf("%v, and there are %d objects", err, len(below.objects))
			}
		})
	}
}

// TestAnOlderClockReplaces what it has seen, though that has a later time.
func TestAnOlderClockReplaces(t *testing.T) {
	below := &twins{}
	below.objects = []*twin{{in: below, id: "x", name: "f", content: []byte("theirs"), at: time.Now().Add(time.Hour)}}
	if _, err := twinsFolder(below).Put(t.Context(), "f", strings.NewReader("ours"), 4); err != nil {
		t.Error(err)
	}
	if len(below.objects) != 1 || string(below.objects[0].content) != "ours" {
		t.Errorf("there are %d objects", len(below.objects))
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
