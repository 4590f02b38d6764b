package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/fserrors"
	"github.com/rclone/rclone/fs/hash"
	"github.com/rclone/rclone/fs/object"

	"salvor/internal/blob"
)

// cleanTimeout bounds the removal of what a failed upload left, which happens
// also when the caller's context has ended.
const cleanTimeout = 20 * time.Second

// Put implements blob.Store. Where a half-written file would be visible the upload
// goes to a temporary name, is verified there and then renamed; elsewhere the remote
// itself shows an object only when it is complete. An upload is tried again only when
// content is an io.Seeker.
func (f *Folder) Put(ctx context.Context, p string, content io.Reader, size int64) (blob.Proof, error) {
	proof, err := f.put(ctx, p, content, size)
	if err == nil {
		f.left.remove(ctx)
	} else if dayIsUsedUp(err) {
		err = fmt.Errorf("%w: %w", ErrDay, err)
	} else if ctx.Err() == nil && fullSign.MatchString(strings.ToLower(err.Error())) {
		err = f.full(ctx, size, err)
	}
	return proof, f.fail("store", p, err)
}

func (f *Folder) put(ctx context.Context, p string, content io.Reader, size int64) (blob.Proof, error) {
	final, err := f.name(p)
	if err != nil {
		return blob.Proof{}, err
	}
	if size < 0 {
		return blob.Proof{}, fmt.Errorf("size %d is negative", size)
	}
	if f.fs.Features().DuplicateFiles {
		return f.putTwin(ctx, final, content, size)
	}
	name := final
	if f.staged {
		name = path.Join(path.Dir(final), ".salvor-"+rand.Text()+".part")
	}
	stored, proof, err := f.upload(ctx, name, content, size)
	if err == nil && f.staged {
		err = f.moveTo(ctx, stored, final, size)
	}
	if err != nil && (f.staged || errors.Is(err, ErrCorrupt)) {
		err = errors.Join(err, f.clean(ctx, name))
	}
	if err != nil {
		return blob.Proof{}, err
	}
	return proof, nil
}

// upload stores and verifies one object under rclone's name for it.
func (f *Folder) upload(ctx context.Context, name string, content io.Reader, size int64) (fs.Object, blob.Proof, error) {
	_, sums, err := f.send(ctx, f.fs.Put, object.NewStaticObjectInfo(name, time.Now(), size, true, nil, f.fs), content)
	if err != nil {
		return nil, blob.Proof{}, err
	}
	return f.verify(ctx, name, size, sums)
}

// putFunc is how a backend stores an object.
type putFunc func(context.Context, io.Reader, fs.ObjectInfo, ...fs.OpenOption) (fs.Object, error)

// send has a backend store one object, and returns the checksums of what was sent. The
// remote gets none in info: several would only keep it and show it again later, which
// proves nothing.
func (f *Folder) send(ctx context.Context, put putFunc, info fs.ObjectInfo, content io.Reader) (stored fs.Object, sums map[hash.Type]string, err error) {
	try := func(ctx context.Context) error {
		source, err := newExactReader(ctx, f.line.Up(ctx, content), info.Size(), f.hashes())
		if err != nil {
			return err
		}
		stored, err = put(ctx, source, info)
		if source.err != nil {
			return fserrors.NoLowLevelRetryError(source.err) // trying again would not mend it
		}
		sums = source.sums()
		return err
	}
	if seeker, again := content.(io.Seeker); again {
		err = f.retry(ctx, rewinding(seeker, try))
	} else {
		ctx := settings(ctx)
		err = withContext(ctx, try(ctx))
	}
	return stored, sums, err
}

// rewinding seeks back to where content stood before each try.
func rewinding(content io.Seeker, try func(context.Context) error) func(context.Context) error {
	start, startErr := content.Seek(0, io.SeekCurrent)
	return func(ctx context.Context) error {
		if startErr != nil {
			return startErr
		}
		if _, err := content.Seek(start, io.SeekStart); err != nil {
			return err
		}
		return try(ctx)
	}
}

// moveTo renames a verified object and compares the size of what is there afterwards:
// each backend whose uploads are staged looks at what it has renamed.
func (f *Folder) moveTo(ctx context.Context, verified fs.Object, to string, size int64) error {
	return f.retry(ctx, func(ctx context.Context) error {
		moved, err := f.fs.Features().Move(ctx, verified, to)
		if err == nil && moved.Size() != size {
			return fmt.Errorf("%w: %d bytes instead of %d", ErrCorrupt, moved.Size(), size)
		}
		return err
	})
}

// clean removes what a failed upload left, if anything.
func (f *Folder) clean(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(settings(context.WithoutCancel(ctx)), cleanTimeout)
	defer cancel()
	left, err := f.fs.NewObject(ctx, name)
	if err == nil {
		err = left.Remove(ctx)
	}
	if isNotFound(err) {
		return nil
	}
	return err
}
