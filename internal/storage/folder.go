package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/hash"
	"github.com/rclone/rclone/fs/walk"

	"salvor/internal/blob"
	"salvor/internal/secret"
)

// stagePattern matches the base names under which uploads are prepared.
var stagePattern = regexp.MustCompile(`^\.salvor-[A-Z2-7]{26}\.part$`)

// A Folder is a folder on a remote. It implements blob.Store and is safe for
// concurrent use.
type Folder struct {
	remote  string // its name, for messages
	base    string // the remote that it is on in the end
	granted bool   // to which a person has logged in
	fs      fs.Fs
	tokens  Tokens
	line    *Line
	prefix  string // below fs, "" for none
	staged  bool   // uploads go under another name first
	secrets []secret.Value
	pause   time.Duration // before the first retry

	patience time.Duration // for a small answer
	left     leftovers     // uploads that never ended
	above    []above
	folders  folders
	close    context.CancelFunc
	hashes   func() hash.Set // to compare by; asked of rclone once, as its sftp races there
}

var _ blob.Store = (*Folder)(nil)

// Close gives up the connections to the remote. The Folder can't be used after.
func (f *Folder) Close(ctx context.Context) error {
	defer f.close()
	if shutdown := f.fs.Features().Shutdown; shutdown != nil {
		return f.fail("close", "", shutdown(settings(ctx)))
	}
	return nil
}

// Test reaches for the remote: nil means that the folder can be listed, or that
// it does not exist yet. Any other answer wraps ErrUnreachable.
func (f *Folder) Test(ctx context.Context) error {
	err := f.ask(ctx, func(ctx context.Context) error {
		_, err := f.fs.List(ctx, f.prefix)
		return err
	})
	if err == nil || isNotFound(err) {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return f.fail("reach", f.prefix, err)
	}
	return f.fail("reach", f.prefix, fmt.Errorf("%w: %w", ErrUnreachable, err))
}

// name returns the path below rclone's root.
func (f *Folder) name(p string) (string, error) {
	if !blob.ValidPath(p) {
		return "", fmt.Errorf("%q is not a path below the folder", p)
	}
	return path.Join(f.prefix, p), nil
}

// Stat implements blob.Store.
func (f *Folder) Stat(ctx context.Context, p string) (blob.Object, error) {
	o, err := f.find(ctx, p)
	if err != nil {
		return blob.Object{}, f.fail("look up", p, err)
	}
	return blob.Object{Path: p, Size: o.Size()}, nil
}

func (f *Folder) find(ctx context.Context, p string) (fs.Object, error) {
	name, err := f.name(p)
	if err != nil {
		return nil, err
	}
	var found fs.Object
	err = f.ask(ctx, func(ctx context.Context) error {
		found, err = f.fs.NewObject(ctx, name)
		return err
	})
	return found, err
}

// Get implements blob.Store. Offset and length are cut to the object's size.
func (f *Folder) Get(ctx context.Context, p string, offset, length int64) (io.ReadCloser, error) {
	o, err := f.find(ctx, p)
	if err != nil {
		return nil, f.fail("read", p, err)
	}
	if offset < 0 {
		return nil, f.fail("read", p, fmt.Errorf("offset %d is negative", offset))
	}
	rest := max(o.Size()-offset, 0)
	if length < 0 || length > rest {
		length = rest
	}
	if length == 0 {
		return io.NopCloser(strings.NewReader("")), nil
	}
	var options []fs.OpenOption
	if length < o.Size() {
		options = append(options, &fs.RangeOption{Start: offset, End: offset + length - 1})
	}
	var body io.ReadCloser
	err = f.retry(ctx, func(ctx context.Context) error {
		body, err = o.Open(ctx, options...)
		return err
	})
	if err != nil {
		return nil, f.fail("read", p, err)
	}
	return &contentReader{ctx: ctx, body: f.line.Down(ctx, body), fail: func(err error) error { return f.fail("read", p, err) }}, nil
}

// List implements blob.Store. Uploads under way are not listed; those that hung long
// ago are removed by the next Put.
func (f *Folder) List(ctx context.Context, dir string) ([]blob.Object, error) {
	base := f.prefix
	if dir != "" {
		name, err := f.name(dir)
		if err != nil {
			return nil, f.fail("list", dir, err)
		}
		base = name
	}
	var found []blob.Object
	err := f.listen(ctx, func(ctx context.Context, heard func()) error {
		found = nil
		return walk.ListR(ctx, f.fs, base, true, -1, walk.ListObjects, func(entries fs.DirEntries) error {
			heard()
			entries.ForObject(func(o fs.Object) {
				if stagePattern.MatchString(path.Base(o.Remote())) {
					f.left.note(ctx, o)
				} else {
					found = append(found, blob.Object{Path: relative(o.Remote(), base), Size: o.Size()})
				}
			})
			return ctx.Err()
		})
	})
	if err != nil && !isNotFound(err) {
		return nil, f.fail("list", dir, err)
	}
	slices.SortStableFunc(found, func(a, b blob.Object) int { return strings.Compare(a.Path, b.Path) })
	// Drive lists two objects of one name when two writers raced
	return slices.CompactFunc(found, func(a, b blob.Object) bool { return a.Path == b.Path }), nil
}

func relative(name, base string) string {
	if base == "" {
		return name
	}
	return strings.TrimPrefix(name, base+"/")
}

// Delete implements blob.Store. Where a remote allows several objects of one
// name, all of them go.
func (f *Folder) Delete(ctx context.Context, p string) error {
	if f.fs.Features().DuplicateFiles {
		return f.fail("delete", p, deleteTwins(ctx, f, p))
	}
	o, err := f.find(ctx, p)
	if err == nil {
		err = f.ask(ctx, o.Remove)
	}
	return f.fail("delete", p, err)
}

// deleteTwins removes all objects of a name, after one look.
func deleteTwins(ctx context.Context, f *Folder, p string) error {
	name, err := f.name(p)
	if err != nil {
		return err
	}
	all, err := f.twins(ctx, name)
	if err == nil && len(all) == 0 {
		err = fs.ErrorObjectNotFound
	}
	for _, o := range all {
		if failed := f.ask(ctx, o.Remove); failed != nil && !gone(failed) {
			err = errors.Join(err, failed)
		}
	}
	return err
}

// contentReader ends with the context and names the object in its errors.
type contentReader struct {
	ctx  context.Context // of the Get that made it, as for an HTTP response's body
	body io.ReadCloser
	fail func(error) error
}

func (r *contentReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, r.fail(err)
	}
	n, err := r.body.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, r.fail(err)
}

func (r *contentReader) Close() error { return r.fail(r.body.Close()) }
